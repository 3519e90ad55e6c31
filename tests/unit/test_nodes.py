"""Which node a hostname label leads to, while nodes come, go and change their labels."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kube.store import Keys
from lastnode.nodes import Nodes, unmistakable
from lastnode.objects import Node

NAMES = ["n1", "n2", "n3", "n4"]

seen = st.builds(
    lambda name, hostname: Node(name=name, uid=name, hostname=hostname, ready=True),
    st.sampled_from(NAMES),
    st.sampled_from(["", "host-a", "host-b"]),
)
changes = st.lists(st.tuples(st.sampled_from(["upsert", "upsert", "remove", "retain"]), seen), max_size=20)


@given(changes)
def test_a_label_stands_only_where_it_leads_to_one_node(made: list[tuple[str, Node]]) -> None:
    nodes, read = Nodes(), dict[str, Node]()
    told: dict[str, Node] = {}
    nodes.subscribe(lambda before, after: told.update({after.name: after}) if after else told.pop(before.name))  # type: ignore[union-attr,arg-type,return-value]
    for change, node in made:
        if change == "upsert":
            read[node.name] = node
            nodes.upsert(node)
        elif change == "remove":
            read.pop(node.name, None)
            nodes.remove(node)
        else:
            read = {name: known for name, known in read.items() if name == node.name}
            nodes.retain(Keys(node))
    assert dict(nodes.within("")) == unmistakable(read) == told
    labels = [node.hostname for node in unmistakable(read).values() if node.hostname]
    assert len(labels) == len(set(labels))
    for name, node in unmistakable(read).items():
        mine = read[name].hostname
        alone = [other.hostname for other in read.values()].count(mine) == 1
        assert node == (read[name] if alone else msgspec.structs.replace(read[name], hostname=""))
