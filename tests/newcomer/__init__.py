"""Does what the README and the pages say, word for word, as a newcomer with nothing but Python would.

python -m tests.newcomer [--python PYTHON] [PAGE ...]

It clones this checkout into a new folder, with a new home, a PATH of the system's folders and none of this
environment's variables but those that say how packages are fetched. What it starts runs in terminals of its own, and is
ended by its process id.
"""
