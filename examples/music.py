"""A piece of music, and a voice that announces it."""

import dreamgrid


def main() -> None:
    with dreamgrid.Client() as client:
        (song,) = client.projects.generate(
            model="dreamlet-music-v1", prompt="calm piano", duration_s=5, bpm=90, progress=True
        )
        print(song.save("song"))
        (words,) = client.projects.generate(
            model="dreamlet-voice-v1", prompt="You have heard a calm piano.", progress=True
        )
        print(words.save("words"))


main()
