"""What a node holds and how long pulling takes, as pure functions of what happened."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.images import CatalogueError, Images, ImageSizes, Layers, read_catalogue, tagged
from testbed.agent.imagestore import ImageStore, Pull


def whole(name: str, size: int) -> tuple[str, Layers]:
    """An image of one layer that no other image has."""
    return name, ((name, size),)


def test_an_image_is_pulled_once_and_held_from_then_on() -> None:
    store = ImageStore(bandwidth=100)
    assert store.admit("a", [whole("x:1", 200)], now=10.0) == Pull(12.0, 200)
    assert store.held(now=11.9) == []
    assert store.held(now=12.0) == [("x:1", 200)]
    assert store.admit("b", [whole("x:1", 200)], now=20.0) == Pull(20.0, 0)


def test_pulls_wait_for_each_other() -> None:
    store = ImageStore(bandwidth=100)
    store.admit("a", [whole("x:1", 200)], now=0.0)
    assert store.admit("b", [whole("y:1", 100)], now=1.0) == Pull(3.0, 100)


def test_an_image_on_its_way_is_waited_for_and_not_pulled_twice() -> None:
    store = ImageStore(bandwidth=100)
    store.admit("a", [whole("x:1", 200)], now=0.0)
    assert store.admit("b", [whole("x:1", 200)], now=1.5) == Pull(2.0, 0)


def test_a_begun_pull_is_finished_without_its_pod() -> None:
    store = ImageStore(bandwidth=100)
    store.admit("a", [whole("x:1", 200)], now=0.0)
    store.release("a", now=0.5)
    assert store.held(now=2.0) == [("x:1", 200)]


def test_the_image_used_longest_ago_makes_room() -> None:
    store = ImageStore(bandwidth=100, capacity=300)
    for number, image in enumerate(["x:1", "y:1", "x:1"]):
        store.admit("pod", [whole(image, 100)], now=10.0 * number)
        store.release("pod", now=10.0 * number + 5)
    store.admit("pod", [whole("z:1", 150)], now=100.0)
    assert [name for name, _ in store.held(now=200.0)] == ["z:1", "x:1"]


def test_an_image_in_use_is_never_dropped() -> None:
    store = ImageStore(bandwidth=100, capacity=100)
    store.admit("a", [whole("x:1", 100)], now=0.0)
    store.admit("b", [whole("y:1", 100)], now=0.0)
    assert {name for name, _ in store.held(now=10.0)} == {"x:1", "y:1"}
    assert store.release("a", now=10.0)
    assert store.held(now=10.0) == [("y:1", 100)]


def test_what_was_on_the_disk_is_not_pulled() -> None:
    store = ImageStore(bandwidth=100)
    store.remember([whole("x:1", 100)])
    assert store.admit("a", [whole("x:1", 100)], now=5.0) == Pull(5.0, 0)


POD = st.tuples(st.sampled_from("abcd"), st.lists(st.sampled_from("uvwxyz"), max_size=3))


@given(st.lists(POD, max_size=30), st.integers(50, 400))
def test_the_cache_is_over_its_limit_only_by_what_is_in_use(steps: list[tuple[str, list[str]]], limit: int) -> None:
    store = ImageStore(bandwidth=1e9, capacity=limit)
    used: dict[str, set[str]] = {}
    for now, (pod, images) in enumerate(steps):
        pull = store.admit(pod, [whole(image, 100) for image in images], float(now))
        used[pod] = set(images)
        assert pull.done_at >= now
        held = {name for name, _ in store.held(now + 0.5)}
        in_use = set().union(*used.values())
        assert in_use <= held
        assert 100 * len(held) <= limit or held == in_use


def test_sizes_follow_from_seed_and_name_alone() -> None:
    assert ImageSizes()("x:1") == ImageSizes()("x:1")
    assert ImageSizes()("x:1") != ImageSizes()("x:2")
    assert ImageSizes(seed=1)("x:1") != ImageSizes(seed=2)("x:1")
    assert ImageSizes(median=1000, spread=0.0)("x:1") == 1000


def test_an_image_without_a_tag_is_the_latest_as_the_scheduler_sees_it() -> None:
    assert tagged("nginx") == "nginx:latest"
    assert tagged("localhost:5000/nginx") == "localhost:5000/nginx:latest"
    assert tagged("nginx:1") == "nginx:1"
    assert tagged("nginx@sha256:0123") == "nginx@sha256:0123"


BASE = ("base", 300)


def test_a_layer_that_another_image_brought_is_not_pulled_again() -> None:
    store = ImageStore(bandwidth=100)
    assert store.admit("a", [("x:1", (BASE, ("x", 100)))], now=0.0) == Pull(4.0, 400)
    assert store.admit("b", [("y:1", (BASE, ("y", 100)))], now=10.0) == Pull(11.0, 100)
    assert store.held(now=20.0) == [("x:1", 400), ("y:1", 400)]


def test_a_layer_on_its_way_is_waited_for() -> None:
    store = ImageStore(bandwidth=100)
    store.admit("a", [("x:1", (("x", 100), BASE))], now=0.0)
    assert store.admit("b", [("y:1", (BASE,))], now=1.0) == Pull(4.0, 0)


def test_a_shared_layer_goes_with_the_last_image_that_needs_it() -> None:
    store = ImageStore(bandwidth=100, capacity=500)
    for pod, image in enumerate("xyz"):
        store.admit(f"{pod}", [(f"{image}:1", (BASE, (image, 100)))], now=10.0 * pod)
        store.release(f"{pod}", now=10.0 * pod + 9)
    assert [name for name, _ in store.held(now=40.0)] == ["y:1", "z:1"]
    store.admit("all", [whole("large:1", 450)], now=40.0)
    assert store.admit("later", [("y:1", (BASE, ("y", 100)))], now=50.0).bytes == 400


IMAGES = {name: tuple((layer, 100) for layer in name) for name in ("ab", "ac", "b", "abcd", "e", "de")}


@given(st.lists(st.tuples(st.sampled_from("123"), st.sampled_from(sorted(IMAGES))), max_size=30), st.integers(50, 400))
def test_what_is_kept_is_exactly_the_layers_of_the_images_held(steps: list[tuple[str, str]], limit: int) -> None:
    store = ImageStore(bandwidth=1e9, capacity=limit)
    layers: set[str] = set()
    used: dict[str, str] = {}
    for now, (pod, image) in enumerate(steps):
        others = {layer for other, name in used.items() if other != pod for layer in name}
        pulled = store.admit(pod, [(image, IMAGES[image])], float(now)).bytes
        assert pulled <= 100 * len(set(image) - others)
        assert pulled >= 100 * len(set(image) - layers - others)
        used[pod] = image
        held = {name for name, _ in store.held(now + 0.5)}
        layers = {layer for name in held for layer in name}
        assert 100 * len(layers) <= limit or held == set(used.values())


def test_a_catalogue_says_what_images_consist_of(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({"x": [["base", 300], ["x", 100]]}))
    images = Images(ImageSizes(median=1000, spread=0.0), read_catalogue(path))
    assert images.layers("x:latest") == (("base", 300), ("x", 100))
    assert images.layers("x:latest", 5) == (("base", 300), ("x", 100))
    assert images.layers("y:1") == (("y:1", 1000),)
    assert images.layers("y:1", 5) == (("y:1", 5),)


@pytest.mark.parametrize("text", ["", "[]", '{"x": [["base"]]}', '{"x": [["base", "300"]]}'])
def test_a_catalogue_of_another_shape_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=r"catalogue\.json"):
        read_catalogue(path)
