# Read by login shells, which terminals are. It leaves PATH alone: the image sets it,
# ~/.local/bin included, and what was chosen at launch has the last word.
if [ -n "$BASH_VERSION" ] && [ -f "$HOME/.bashrc" ]; then
    . "$HOME/.bashrc"
fi
