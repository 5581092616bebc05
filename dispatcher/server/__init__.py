"""The network shells: they wait, translate and bound; they decide nothing.

`worker_socket` takes workers, `twirp` takes API callers, `http` puts both and the health checks
on one port. What comes in becomes an event of `core.events`; what is to go out comes as a message
of `core.effects` through `sessions.Sessions`, which is the runtime's `Delivery`.
"""
