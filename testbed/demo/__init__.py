"""``make demo``: sessions of both kinds come back to their nodes, through both faces, beside a control arm."""
