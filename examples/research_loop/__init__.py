"""Research loop: hundreds of supersteps over several runs of one thread."""
