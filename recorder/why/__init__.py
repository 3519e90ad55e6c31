"""Why a session moved although its last node was valid: what the node, the scheduler and the extender tell."""
