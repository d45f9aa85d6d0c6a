// Goes on in the kernel as its boot protocol wants it (Documentation/arm64/booting.rst): the address of the device
// tree in x0, nothing in x1 to x3.
        .global _start
_start: ldr     x0, =DTB
        mov     x1, xzr
        mov     x2, xzr
        mov     x3, xzr
        ldr     x4, =KERNEL
        br      x4
