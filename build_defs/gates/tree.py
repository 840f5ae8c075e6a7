"""The files that a gate looks at: a folder, or a given list of files in it."""

import os


class Tree:
    """Source files by their path from the repository's root, "/" between parts."""

    def __init__(self, root, paths=None):
        """With `paths` only those are in the tree; else all that lies in `root`."""
        self._root = root
        self._paths = None if paths is None else sorted(paths)

    def files(self, folder):
        """All files under `folder`, at any depth, in order."""
        if self._paths is not None:
            return [p for p in self._paths if p.startswith(folder + "/")]
        found = []
        for at, folders, names in os.walk(os.path.join(self._root, folder), followlinks=True):
            folders.sort()
            inside = os.path.relpath(at, self._root).replace(os.sep, "/")
            found += [f"{inside}/{name}" for name in names]
        return sorted(found)

    def read(self, path):
        """The text of a file; UnicodeDecodeError when it is not UTF-8."""
        with open(os.path.join(self._root, path), encoding="utf-8", newline="") as file:
            return file.read()
