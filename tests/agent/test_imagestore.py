"""What a node holds and how long pulling takes, as pure functions of what happened."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.images import CatalogueError, Images, ImageSizes, Layer, Layers, layer, read_catalogue, tagged
from testbed.agent.imagestore import ImageStore, Pull
from testbed.agent.pulls import Speed, pull

# A hundred bytes a second, and nothing to unpack.
DOWNLOAD, QUICK = Speed(100, 0, 0), Speed(1e9, 0, 0)


def whole(name: str, size: int) -> tuple[str, Layers]:
    """An image of one layer that no other image has."""
    return name, (Layer(name, size),)


def test_an_image_is_pulled_once_and_held_from_then_on() -> None:
    store = ImageStore(DOWNLOAD)
    assert store.admit("a", [whole("x:1", 200)], now=10.0) == Pull(12.0, 200, 12.0)
    assert store.held(now=11.9) == []
    assert store.held(now=12.0) == [("x:1", 200)]
    assert store.admit("b", [whole("x:1", 200)], now=20.0) == Pull(20.0, 0, 20.0)


def test_pulls_wait_for_each_other() -> None:
    store = ImageStore(DOWNLOAD)
    store.admit("a", [whole("x:1", 200)], now=0.0)
    assert store.admit("b", [whole("y:1", 100)], now=1.0) == Pull(3.0, 100, 3.0)


def test_an_image_on_its_way_is_waited_for_and_not_pulled_twice() -> None:
    store = ImageStore(DOWNLOAD)
    store.admit("a", [whole("x:1", 200)], now=0.0)
    assert store.admit("b", [whole("x:1", 200)], now=1.5) == Pull(2.0, 0, 1.5)


def test_a_begun_pull_is_finished_without_its_pod() -> None:
    store = ImageStore(DOWNLOAD)
    store.admit("a", [whole("x:1", 200)], now=0.0)
    store.release("a", now=0.5)
    assert store.held(now=2.0) == [("x:1", 200)]


def test_the_image_used_longest_ago_makes_room() -> None:
    store = ImageStore(DOWNLOAD, capacity=300)
    for number, image in enumerate(["x:1", "y:1", "x:1"]):
        store.admit("pod", [whole(image, 100)], now=10.0 * number)
        store.release("pod", now=10.0 * number + 5)
    store.admit("pod", [whole("z:1", 150)], now=100.0)
    assert [name for name, _ in store.held(now=200.0)] == ["z:1", "x:1"]


def test_an_image_in_use_is_never_dropped() -> None:
    store = ImageStore(DOWNLOAD, capacity=100)
    store.admit("a", [whole("x:1", 100)], now=0.0)
    store.admit("b", [whole("y:1", 100)], now=0.0)
    assert {name for name, _ in store.held(now=10.0)} == {"x:1", "y:1"}
    assert store.release("a", now=10.0)
    assert store.held(now=10.0) == [("y:1", 100)]


def test_what_was_on_the_disk_is_not_pulled() -> None:
    store = ImageStore(DOWNLOAD)
    store.remember([whole("x:1", 100)])
    assert store.admit("a", [whole("x:1", 100)], now=5.0) == Pull(5.0, 0, 5.0)


POD = st.tuples(st.sampled_from("abcd"), st.lists(st.sampled_from("uvwxyz"), max_size=3))


@given(st.lists(POD, max_size=30), st.integers(50, 400))
def test_the_cache_is_over_its_limit_only_by_what_is_in_use(steps: list[tuple[str, list[str]]], limit: int) -> None:
    store = ImageStore(QUICK, capacity=limit)
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


# Ten bytes a second come; unpacking takes a second for a byte and a tenth of one for a file.
SLOW = Speed(bandwidth=10, unpack_megabyte=1e6, unpack_files=100)


def test_an_image_is_there_when_it_is_unpacked_and_many_files_take_longer_than_their_bytes() -> None:
    store = ImageStore(SLOW)
    few, many = ("few:1", (Layer("few", 10),)), ("many:1", (Layer("many", 10, files=90),))
    assert store.admit("a", [few], now=0.0) == Pull(11.0, 10, downloaded_at=1.0)
    assert store.held(now=10.9) == []
    assert store.held(now=11.0) == [("few:1", 10)]
    assert store.admit("b", [many], now=20.0) == Pull(40.0, 10, downloaded_at=21.0)


def test_layers_come_side_by_side_and_are_unpacked_one_after_the_other() -> None:
    took = pull((Layer("a", 10), Layer("b", 10), Layer("c", 10), Layer("d", 10)), SLOW)
    assert took.downloaded == (3.0, 3.0, 3.0, 4.0)  # three at a time
    assert took.unpacked == (13.0, 23.0, 33.0, 43.0)
    late = pull((Layer("a", 10), Layer("b", 100)), Speed(10, 0.1e6, 0))
    assert late.downloaded == (2.0, 11.0)
    assert late.unpacked == (3.0, 21.0)


def test_a_machine_pulls_and_unpacks_one_image_at_a_time() -> None:
    store = ImageStore(SLOW)
    store.admit("a", [("x:1", (Layer("x", 10),))], now=0.0)
    assert store.admit("b", [("y:1", (Layer("y", 10),))], now=1.0) == Pull(22.0, 10, downloaded_at=12.0)
    assert store.admit("c", [("x:1", (Layer("x", 10),))], now=1.0) == Pull(11.0, 0, downloaded_at=1.0)


LAYERS = st.lists(st.builds(Layer, st.text(max_size=2), st.integers(0, 500), st.integers(0, 9)), max_size=8)


@given(LAYERS, st.floats(0, 5), st.floats(0, 5))
def test_no_pull_is_faster_than_its_parts_or_slower_than_one_after_the_other(
    layers: list[Layer], megabyte: float, files: float
) -> None:
    speed = Speed(10, megabyte, files)
    took = pull(tuple(layers), speed)
    download = sum(layer.size for layer in layers) / 10
    unpacking = sum(map(speed.unpacking, layers))
    last = took.unpacked[-1] if layers else 0.0
    assert max(took.downloaded, default=0.0) == pytest.approx(download)
    assert max(download, unpacking) - 1e-6 <= last <= download + unpacking + 1e-6
    assert all(down <= up for down, up in zip(took.downloaded, took.unpacked, strict=True))
    assert list(took.unpacked) == sorted(took.unpacked)


@given(st.lists(LAYERS, max_size=4), LAYERS, st.floats(4, 2000))
def test_an_image_is_there_when_it_was_said_that_it_would_be(
    held: list[list[Layer]], wanted: list[Layer], now: float
) -> None:
    store = ImageStore(SLOW)
    for number, layers in enumerate(held):
        store.admit(f"{number}", [(f"{number}", tuple(layers))], now=float(number))
    said = store.ready_at(tuple(wanted), now)
    assert store.admit("pod", [("image", tuple(wanted))], now).done_at == pytest.approx(said)


BASE = Layer("base", 300)


def test_a_layer_that_another_image_brought_is_not_pulled_again() -> None:
    store = ImageStore(DOWNLOAD)
    assert store.admit("a", [("x:1", (BASE, Layer("x", 100)))], now=0.0) == Pull(4.0, 400, 4.0)
    assert store.admit("b", [("y:1", (BASE, Layer("y", 100)))], now=10.0) == Pull(11.0, 100, 11.0)
    assert store.held(now=20.0) == [("x:1", 400), ("y:1", 400)]


def test_a_layer_on_its_way_is_waited_for() -> None:
    store = ImageStore(DOWNLOAD)
    store.admit("a", [("x:1", (Layer("x", 100), BASE))], now=0.0)
    assert store.admit("b", [("y:1", (BASE,))], now=1.0) == Pull(4.0, 0, 1.0)


def test_a_shared_layer_goes_with_the_last_image_that_needs_it() -> None:
    store = ImageStore(DOWNLOAD, capacity=500)
    for pod, image in enumerate("xyz"):
        store.admit(f"{pod}", [(f"{image}:1", (BASE, Layer(image, 100)))], now=10.0 * pod)
        store.release(f"{pod}", now=10.0 * pod + 9)
    assert [name for name, _ in store.held(now=40.0)] == ["y:1", "z:1"]
    store.admit("all", [whole("large:1", 450)], now=40.0)
    assert store.admit("later", [("y:1", (BASE, Layer("y", 100)))], now=50.0).bytes == 400


IMAGES = {name: tuple(Layer(layer, 100) for layer in name) for name in ("ab", "ac", "b", "abcd", "e", "de")}


@given(st.lists(st.tuples(st.sampled_from("123"), st.sampled_from(sorted(IMAGES))), max_size=30), st.integers(50, 400))
def test_what_is_kept_is_exactly_the_layers_of_the_images_held(steps: list[tuple[str, str]], limit: int) -> None:
    store = ImageStore(QUICK, capacity=limit)
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
    path.write_text(json.dumps({"x": [["base", 300, 7], ["x", 100]]}))
    images = Images(ImageSizes(median=1_000_000, spread=0.0), read_catalogue(path))
    known = (Layer("base", 300, files=7), Layer("x", 100, files=0))
    assert images.layers("x:latest") == images.layers("x:latest", 5) == known
    assert images.layers("y:1") == (layer("y:1", 1_000_000),)
    assert images.layers("y:1")[0].files > 0
    assert images.layers("y:1", 5) == (Layer("y:1", 5, 0),)


@pytest.mark.parametrize("text", ["", "[]", '{"x": [["base"]]}', '{"x": [["base", "300"]]}'])
def test_a_catalogue_of_another_shape_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalogue.json"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=r"catalogue\.json"):
        read_catalogue(path)
