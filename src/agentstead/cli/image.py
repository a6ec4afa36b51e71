"""`agentstead image build|import|list|use|remove`: what sandboxes are made from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, Typer

from agentstead.cli.key import DatabaseUrl, DataDir, ask, note

if TYPE_CHECKING:
    from agentstead.sandbox.images.image import Image
    from agentstead.sandbox.images.images import Images
    from agentstead.settings import Settings

image = Typer(
    help="Make, choose and remove the root file systems that sandboxes are made from.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Which = Annotated[str, Argument(help="The image's name, its id or the beginning of it; or `host`.")]
Keep = Annotated[bool, Option("--keep-default", help="Do not make it the default.")]


@image.command("build")
def build(
    name: Annotated[str, Option(help="What to call it.")] = "debian",
    suite: Annotated[
        str | None, Option(help="The Debian release; default: the host's, else bookworm.")
    ] = None,
    mirror: Annotated[
        list[str] | None, Option(help="Where to get packages, as mmdebstrap takes it.")
    ] = None,
    package: Annotated[list[str] | None, Option(help="A package to put in besides.")] = None,
    node: Annotated[bool, Option("--node", help="Put in nodejs and npm.")] = False,
    keep_default: Keep = False,
    data_dir: DataDir = None,
) -> None:
    """Build a Debian image with mmdebstrap and make it the default; takes a minute or a few."""
    from agentstead.clock import SystemClock, rfc3339
    from agentstead.sandbox.images import debian
    from agentstead.sandbox.images.images import check_name

    settings, images = opened(data_dir)
    check_name(name)
    packages = [*(package or ()), *(debian.NODE if node else ())]
    made = debian.build(
        images,
        name,
        rfc3339(SystemClock().now()),
        note,
        suite=suite,
        mirrors=mirror or (),
        packages=packages,
    )
    taken_in(settings, images, made, new=True, use=not keep_default)


@image.command("import")
def import_(
    path: Annotated[
        Path, Argument(help="An OCI layout (folder or tar), or a tarball of a root file system.")
    ],
    name: Annotated[str | None, Option(help="What to call it; default: as the file.")] = None,
    ref: Annotated[
        str | None, Option(help="Which image of an OCI layout, where it holds several.")
    ] = None,
    use: Annotated[bool, Option("--use", help="Make it the default.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make an image of what was built elsewhere, and try it out."""
    from agentstead.clock import SystemClock, rfc3339
    from agentstead.sandbox.images import making
    from agentstead.sandbox.images.images import check_name

    settings, images = opened(data_dir)
    called = check_name(making.name_for(path) if name is None else name)
    now = rfc3339(SystemClock().now())
    made, new = making.make(images, path, called, now, note, ref)
    taken_in(settings, images, made, new=new, use=use)


@image.command("list")
def list_images(data_dir: DataDir = None) -> None:
    """List the images on this machine; `*` marks the one in force."""
    from agentstead.sandbox.images.images import NoSuchImage

    _, images = opened(data_dir)
    try:
        in_force = images.resolve(None)
    except NoSuchImage as error:
        in_force = None
        note(f"none is in force: {error.message}")
    print(f"{'*' if in_force == '' else ' '} host          the host's system directories")
    for found in images.all():
        mark = "*" if found.id == in_force else " "
        packages = "" if found.ranged else "  no packages of apt"
        print(
            f"{mark} {found.short}  {found.name}  {found.title}  {found.size_bytes >> 20} MiB"
            f"  {found.created_at[:19]}Z{packages}"
        )


@image.command("use")
def use(which: Which, data_dir: DataDir = None) -> None:
    """Choose what sandboxes of new sessions are made from where the environment does not say."""
    _, images = opened(data_dir)
    choose(images, images.resolve(which))


@image.command("remove")
def remove(which: Which, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Delete an image that is not in force and that no session or environment needs."""
    from agentstead.errors import Invalid
    from agentstead.resources.image_users import users

    _, images = opened(data_dir)
    found = images.find(which)
    if images.is_in_force(found):
        raise Invalid(
            f"{found.name} ({found.short}) is in force.\nChoose another one first:"
            " `agentstead image use host`."
        )
    needed = ask(lambda database: users(database, found), data_dir, database_url)
    if needed:
        shown = "\n".join(needed[:10])
        raise Invalid(f"{found.name} ({found.short}) is needed by {len(needed)}:\n{shown}")
    images.remove(found)
    note(f"image {found.name} ({found.short}) is removed")


def opened(data_dir: Path | None) -> "tuple[Settings, Images]":
    """The settings, and the images of the data directory."""
    from agentstead import settings
    from agentstead.errors import Misconfigured
    from agentstead.sandbox.images.images import Images
    from agentstead.store import data_dir as store

    chosen = settings.load(data_dir=data_dir)
    if chosen.sandbox != "bubblewrap":
        raise Misconfigured(
            f"Sandboxes run on {chosen.sandbox} here, and are made of {chosen.container_image}.\n"
            "Set AGENTSTEAD_CONTAINER_IMAGE instead; these images are for AGENTSTEAD_SANDBOX=bubblewrap."
        )
    store.make(chosen.data_dir)
    return chosen, Images.of(chosen)


def taken_in(
    settings: "Settings", images: "Images", made: "Image", *, new: bool, use: bool
) -> None:
    """Try an image out; one that no sandbox can be made of does not stay."""
    from agentstead.cli.examination import probe_of
    from agentstead.cli.loop import run_until_done
    from agentstead.errors import Misconfigured

    note("trying it out …")
    probe = None
    try:
        probe = run_until_done(probe_of(settings, made))
    finally:
        if new and (probe is None or not probe.ok):
            images.remove(made)
    if not probe.ok:
        raise Misconfigured(
            f"No sandbox can be made of {made.title}.\n" + "\n".join(probe.problems)
        )
    print(made.id)
    note(f"image {made.name} ({made.title}), {made.size_bytes >> 20} MiB")
    if not made.ranged:
        note("packages of apt cannot be installed into it: that needs the platform to run as root")
    if use:
        choose(images, made.id)


def choose(images: "Images", image_id: str) -> None:
    """Make it the default."""
    from agentstead.errors import Misconfigured

    if images.fixed is not None:
        raise Misconfigured(
            f"AGENTSTEAD_SANDBOX_IMAGE says {images.fixed}, which comes first.\nChange or unset it."
        )
    images.use(image_id)
    named = images.find(image_id).name if image_id else "the host's system directories"
    note(f"new sessions are made from {named}")
