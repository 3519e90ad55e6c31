"""One module a command: what it asks for, what it prints. What they share is beside this package."""
