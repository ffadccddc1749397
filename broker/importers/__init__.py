"""What another broker was told, in Hubbub's words: a module per broker."""
