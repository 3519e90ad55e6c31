"""Which workloads take part: the one rule, for the recorder that writes memories and the injector that reads them.

Pure, and on single values rather than objects, because the two sides decode workloads differently.
"""

from lastnode.contract import STICKINESS_ENABLED, WARM_POOL_KIND


def is_sticky(kind: str, stickiness: bool | None, annotations_value: str | None, warm_pool_size: int | None) -> bool:
    """Whether a workload opted in and its opt-in can have an effect.

    ``stickiness``: spec.nodeStickiness.enabled, None where it is absent; present, it wins over the annotation.
    ``annotations_value``: the annotation that says the same where the installed CRD lacks that field; only its exact
    value counts. ``warm_pool_size``: spec.warmPoolSize, None where it is absent. The pods of a warm pool are placed
    before any session claims them, so there a preference would come too late.
    """
    if kind == WARM_POOL_KIND and warm_pool_size is not None and warm_pool_size > 0:
        return False
    return annotations_value == STICKINESS_ENABLED if stickiness is None else stickiness
