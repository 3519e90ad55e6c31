"""``make demo``: sessions come back to their nodes, through every face, beside control arms."""
