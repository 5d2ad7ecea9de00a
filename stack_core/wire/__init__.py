"""The two HTTP sides of the one door, without a framework.

`table` finds the route of a request, `requests` turns arguments into a request and back (`queries` and `forms` read
named texts and files, `form_body` sends them), `results` does so with what comes out, `faults` with errors, and
`service` puts the server side together. `server`, `client` and `transport` speak HTTP through these.
"""
