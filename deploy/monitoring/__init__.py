"""For whoever watches lastnode: rules and their tests as files, and the dashboards with what makes them."""
