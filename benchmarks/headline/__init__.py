"""The headline as an experiment: 20,000 workloads with an image each on 1,000 nodes, with lastnode and without.

kube-apiserver, kube-scheduler and lastnode's programs are real and decide in real time. The machines are simulated,
and start-up times are those of a written model: see model.py and docs/measured.md.
"""
