# What a terminal says first: once in the web terminal, in its first shell, and in every
# other login. A ~/.hushlogin silences it. Nothing here needs PATH or can fail.
# shellcheck shell=sh
case $- in
*i*)
    if [ -t 1 ] && [ -z "${BAI_GREETED-}" ] && [ "${TMUX_PANE-%0}" = %0 ] &&
        [ -r /run/bai-session/greeting ] && ! [ -e /home/work/.hushlogin ]; then
        export BAI_GREETED=1
        while IFS= read -r bai_line; do
            printf '%s\n' "$bai_line"
        done </run/bai-session/greeting
        unset bai_line
        if [ -n "${TMUX-}" ] && ! [ -e /home/work/.config/bai/no-hint ]; then
            printf '%s\n' '' \
                'To copy, drag over the text: it is in the clipboard when you let go. If that' \
                'does not work, hold Shift (Option on a Mac) while you drag, or press Ctrl-B,' \
                'type :set -g mouse off and Enter, drag, and press Ctrl-C (Cmd-C on a Mac).' \
                'This hint goes away for good with: bai-hint off'
        fi
        echo
    fi
    ;;
esac
