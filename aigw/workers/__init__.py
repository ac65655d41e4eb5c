"""Several processes serve the proxy face: one parent with the configuration, the sockets and the sums, N workers.

`messages` is what they say to each other and `channel` how it gets there. The parent's side is `team` (whom there is,
who has heard what) over `member` (one worker) and `spawning` (making a process). The worker's side is `worker`, started
by ``python -m aigw.workers``. `topics` is what workers share beside the configuration, such as `healths`.
"""
