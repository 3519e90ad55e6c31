"""What the programs are made of, and no word of the idea: settings, health, HTTP, logs, threads."""
