; Labels: local ones, whole names, $, $$, EQU before and after, ORG.
        bits    32
        org     0x100000
start:
        jmp     .loop
.loop:  dec     ecx
        jnz     .loop
        call    other.inner
INSIDE  equ     .loop + 1
        jmp     .loop
        dd      INSIDE
        mov     eax, start
        mov     ebx, [start.loop]
        mov     ecx, end - start
        add     ecx, end - other
        cmp     edx, SMALL
        push    later
        dd      $, $$, $ - $$, end - $$
other   nop
.inner: ret
$mov:   jmp     $mov
..@special:
        jmp     other.inner
        dd      ..@special, other.inner, SMALL, later
SMALL   equ     5
later   equ     other + 4
LENGTH  equ     $ - start
        dd      LENGTH
        db      LENGTH
only:
        times   4 db $ - $$
        times   3 jmp $
        times   2 call start
        times   20 - ($ - only) db 0x90
end:
