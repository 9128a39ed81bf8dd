"""Messages inside the server: fan-out and hints, never the truth. One contract per backend."""
