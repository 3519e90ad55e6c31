"""What lastnode is deployed with, and the control plane that it is tried on."""
