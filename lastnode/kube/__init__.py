"""A Kubernetes client that knows nothing of lastnode: requests, list-watch with its stores, election, work queue."""
