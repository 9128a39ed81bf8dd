"""Every word on the wire as typed structs, and the codec. No I/O.

The only room where the spellings of the Sogni wire live (`jobID` for a project, `imgID` for one
render). Everything else in dreamgrid says project and job, in snake_case.
"""
