"""How the package is built: its rooms, what each may import, and the drawing of it."""
