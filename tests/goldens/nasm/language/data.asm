; Data directives, strings, numbers, reserved space, alignment.
        bits    32
        db      'hello', 0, "it's", `tab\tnl\n\x41\101\0`, 13, 10,
        dw      'ab', 'abc', 0x1234, -1
        dd      'abcd', 'abcde', "a", -1, 0xffffffff
        dq      0x123456789abcdef0, -1, 'abcdefgh'
        db      'a', 'a' + 1, 'ab' - 0x6260
        dd      1_000_000, 0ffh, 0x0F, $0f, 10b, 0b1010_1010, 17o, 0o17, 17q, 12d, 0d12, 1010y, 0hff
        db      ~0 & 0xff, -128, 255
        resb    3
        resw    2
        resd    1
        align   16
        db      1
        align   8, db 0xcc
        db      2
        alignb  32
        times   3 dw 1, 2
        times   0 db 5
bytes:  db      "é", `é`
        dd      bytes, bytes + 4
        use16
        mov     ax, [bx]
        [bits 32]
        mov     ax, [ebx]
