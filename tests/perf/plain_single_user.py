"""A plain `jupyterhub-singleuser` in our image: nothing of ours is configured, or runs."""

from pathlib import Path

plain = Path(__file__).parent / "plain_hub.py"
exec(compile(plain.read_text(), str(plain), "exec"))

c = get_config()  # noqa: F821
c.DockerSpawner.cmd = ["/opt/bai/bin/jupyterhub-singleuser"]
# what would name our extension, our kernels and the terminal is there
c.DockerSpawner.extra_host_config = {"tmpfs": {"/etc/jupyter": ""}}
