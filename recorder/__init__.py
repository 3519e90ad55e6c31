"""The program that remembers: it watches ready session pods and writes each workload's last node."""
