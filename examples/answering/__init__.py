"""An order that waits for a person, and answers to it from outside: command line, HTTP, Node.js, plain Python."""
