; Operators and their precedence.
        bits    32
        dd      1 + 2 * 3, (1 + 2) * 3, 7 / 2, 7 % 4, -7 // 2, -7 %% 4, 1 << 4 + 1
        dd      0xff00 >> 4, 0xf0 | 0x0f & 0x3c, 0xff ^ 0x0f, ~5, -5 & 0xff, !0, !7, - - 3, +4
        dd      1 < 2, 2 <= 1, 3 > 2, 3 >= 4, 1 = 1, 1 == 2, 1 != 2, 1 <> 1
        dd      1 && 0, 1 || 0, 1 ^^ 1, 1 && 2 || 0, 5 = 5 && 3 < 4
        dd      1 | 2 ^ 3 & 4, 6 - 2 - 1, 100 / 10 / 5, 2 * -3, 1 ? 10 : 20, 0 ? 10 : 20
        dq      1 << 40, -1 >> 60, 1 << 63
here:   dd      (here - $$) * 4 + 1, (there - here) / 2, there > here
there:
        mov     eax, [here + 4 * 2]
        mov     eax, [ebx + (there - here)]
        mov     eax, [ebx + there - here + 0x100]
        mov     eax, [ebx * 2 + ecx + 8 - 4]
        mov     eax, [(ebx + ecx * 4) + 4]
        mov     eax, [4 * ecx + ebx]
        mov     eax, [ebx + here]
        mov     byte [here], there - here
