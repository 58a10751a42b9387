; Jumps that are short as long as they can be, in chains whose sizes depend on one another.
        bits    32
a:      jmp     b
        times   124 nop
        jz      a
b:      jmp     c
        times   125 nop
        jnz     b
        jmp     d
        times   60 nop
        call    a
        jc      e
c:      times   61 nop
d:      jmp     a
        jecxz   e
        loop    d
        jmp     near d
        jmp     short e
e:      times   120 nop
        ja      e
        jbe     f
        times   122 nop
        jna     e
f:      jmp     0x08:f
        call    0x10:a
        jmp     word f - a
        add     eax, f - e
        add     eax, g - f
        push    g - f
        mov     eax, [ebp + g - f]
        mov     ecx, [ebp + g - a]
g:
%assign i 0
%rep 40
l %+ i: jmp     m %+ i
        times   i * 3 nop
        jnz     l %+ i
        times   100 nop
m %+ i: nop
%assign i i + 1
%endrep
%assign i 0
%rep 30
        jz      t %+ i
        times   i nop
%assign i i + 1
%endrep
%assign i 0
%rep 30
t %+ i: nop
        jmp     l %+ i
%assign i i + 1
%endrep
        bits    16
        jmp     g
        jz      h
        jmp     dword h
        times   130 nop
h:      loop    h
        call    h
        jcxz    h
        jmp     0x1234:0x5678
        jmp     dword 0x1234:h
