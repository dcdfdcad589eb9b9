"""What a hostile neighbour tries; `make hostile` runs all of it and gives a figure for each section."""
