"""Whether an installation fits together: one finding a check, with what to do about it.

``finding`` has the form, ``look`` what the checks may look at, ``examine`` their order; every other module is one
subject. A check that is refused an answer says that it cannot know, and the others go on.
"""
