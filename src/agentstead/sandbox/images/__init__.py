"""Root file systems for sandboxes: made from an OCI image, a tarball or Debian packages, kept by digest."""
