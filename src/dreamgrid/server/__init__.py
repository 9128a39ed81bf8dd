"""The coordinator: REST, sockets, the owner of project state, scheduler, ledger, store."""
