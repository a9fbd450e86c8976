/* The files of dashboard/ as they are, between two labels each: see dashboard.c. */
        .section .rodata

        .macro file name, path
        .globl dashboard_\name\()_begin, dashboard_\name\()_end
        .hidden dashboard_\name\()_begin, dashboard_\name\()_end
dashboard_\name\()_begin:
        .incbin "\path"
dashboard_\name\()_end:
        .endm

        file page, "dashboard/index.html"
        file style, "dashboard/dashboard.css"
        file script, "dashboard/dashboard.js"

        .section .note.GNU-stack, "", %progbits
