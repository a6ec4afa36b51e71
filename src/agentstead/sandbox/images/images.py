"""The images of one machine, below `<data_dir>/images`: `<id>/root` is what sandboxes see, read-only.

Which one is used: a name or an id given by the environment, else the operator's setting, else what was
chosen last with `image use`, else the host's own system directories.
"""

import os
from dataclasses import replace
from pathlib import Path

from agentstead.errors import Invalid, SandboxFault
from agentstead.sandbox.images import image as record
from agentstead.sandbox.images.image import HOST, ID, NAME, ROOT, SHORT, Image
from agentstead.sandbox.supervisor import disk, staging
from agentstead.settings import Settings
from agentstead.store.postmaster import exists

FOLDER = "images"
CHOSEN = "chosen"
"""The file with the id of the image that was chosen last."""
DRAFT = ".new-"
SHORT_MIN = 6


class NoSuchImage(Invalid):
    """There is no such image."""


class Images:
    """What there is, and which is used."""

    def __init__(self, root: Path, default: str | None = None) -> None:
        self.root = root.absolute()
        self._default = default
        """The operator's setting: a name or an id."""

    @staticmethod
    def of(settings: Settings) -> "Images":
        """The images of the data directory."""
        return Images(settings.data_dir / FOLDER, settings.sandbox_image)

    def all(self) -> list[Image]:
        """Every image, newest first."""
        try:
            folders = [entry for entry in self.root.iterdir() if ID.fullmatch(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = [image for folder in folders if (image := record.read(folder)) is not None]
        return sorted(found, key=lambda image: (image.created_at, image.id), reverse=True)

    def find(self, given: str) -> Image:
        """The image of a name (the newest), an id, or the beginning of an id. Raises NoSuchImage."""
        there = self.all()
        wanted = given.removeprefix("sha256:")
        for image in there:
            if wanted in (image.id, image.name):
                return image
        short = [image for image in there if image.id.startswith(wanted)]
        if len(short) == 1 and len(wanted) >= SHORT_MIN:
            return short[0]
        if given == HOST:
            raise NoSuchImage("The host's system directories are no image.")
        names = list(dict.fromkeys([HOST, *(image.name for image in there)]))
        known = ", ".join(f'"{name}"' for name in names)
        raise NoSuchImage(f'There is no image "{given[:80]}" on this server; there are {known}.')

    def resolve(self, given: str | None) -> str:
        """The id of an image; empty for the host's system directories. None: the one in force."""
        wanted = given or self._default or self._chosen() or HOST
        return "" if wanted == HOST else self.find(wanted).id

    def in_force(self) -> Image | None:
        """What environments get that choose nothing; None: the host's system directories."""
        image_id = self.resolve(None)
        return self.find(image_id) if image_id else None

    def is_in_force(self, image: Image) -> bool:
        """Whether it is what environments get that choose nothing."""
        try:
            return self.resolve(None) == image.id
        except NoSuchImage:
            return False

    @property
    def fixed(self) -> str | None:
        """What the setting says; None: `image use` decides."""
        return self._default

    def use(self, image_id: str) -> None:
        """Choose; empty: the host's system directories. Sessions that exist keep what they have."""
        self._make()
        draft = self.root / f"{CHOSEN}.new"
        draft.write_text(image_id or HOST)
        draft.replace(self.root / CHOSEN)

    def opened(self, image_id: str) -> tuple[Image, Path]:
        """An image and its root, to start a sandbox from."""
        folder = self.root / image_id
        image = record.read(folder) if ID.fullmatch(image_id) else None
        if image is None or not (folder / ROOT).is_dir():
            raise SandboxFault(
                f"The image {image_id[:SHORT]} that this session was made with is not on this machine;"
                " the operator can bring it back with `agentstead image import`.",
                kind="start",
            )
        return image, folder / ROOT

    def draft(self) -> Path:
        """An empty folder of this process's to make an image in; those of dead processes are deleted."""
        self._make()
        for folder in self.root.glob(f"{DRAFT}*"):
            number = folder.name.removeprefix(DRAFT)
            if not number.isdigit() or not exists(int(number)):
                disk.delete(folder)
        folder = self.root / f"{DRAFT}{os.getpid()}"
        disk.delete(folder)
        folder.mkdir(mode=0o711)
        return folder

    def add(self, draft: Path, image: Image) -> Image:
        """Keep what was made in a draft. Files that are there already stay: sandboxes may use them."""
        folder = self.root / image.id
        known = record.read(folder)
        if known is None:
            record.write(draft, image)
            disk.delete(folder)
            draft.rename(folder)
            return image
        again = replace(known, name=image.name, created_at=image.created_at)
        record.write(folder, again)
        disk.delete(draft)
        return again

    def remove(self, image: Image) -> None:
        """Delete an image."""
        gone = self.root / f"{DRAFT}{image.id}"
        (self.root / image.id).rename(gone)
        disk.delete(gone)

    def _chosen(self) -> str:
        try:
            return (self.root / CHOSEN).read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def _make(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        # where root may not make mounts, the sandboxes' users come here by path
        closed = os.geteuid() != 0 or staging.possible()
        self.root.chmod(0o700 if closed else 0o711)


def check_name(name: str) -> str:
    """A name for an image. Raises Invalid."""
    if not NAME.fullmatch(name) or name == HOST or ID.fullmatch(name):
        raise Invalid(
            f'"{name[:80]}" is no name for an image.\nTake up to 63 small letters, digits, ".", "_" and'
            f' "-", beginning with a letter or digit; "{HOST}" means the host\'s own directories.'
        )
    return name
