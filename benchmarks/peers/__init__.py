"""The same loop on other durable runtimes; each module is a process of its own, in an environment of its own."""
