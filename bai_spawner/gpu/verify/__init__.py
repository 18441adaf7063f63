"""Whether a host's GPU caps hold, tried as a session's processes would try to pass them.

`probe` makes one measurement in a process of its own, through the CUDA driver's own library
(`cuda`, `ptx`). `runner` starts probes in an environment, `readings` are what they say, `checks`
judges them against what a strategy claims, and `table` shows it. Nothing here changes a compute
mode, a clock or a MIG layout, and a GPU to be verified has to be idle: what others hold or
compute meanwhile looks like a lower cap.
"""
