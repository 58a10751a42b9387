; isprime: the worked example of Adams and Agesen (2006), as kernel code.
;
; A translator meets this function in the order in which it runs. Of its
; five stretches of code isPrime(49) needs four: 49 is not prime, so the
; stretch at "prime" is never reached, and never translated. What falls
; through is laid out next to what it falls from, without a jump, and the
; loop is closed by a jump that is patched once its target is known.

%include "abi.inc"

NUMBER          equ     49

_start:
mark_start:
        START_KERNEL
mark_call:
        mov     edi, NUMBER
        call    is_prime
mark_return:
        mov     [answer], eax
        call    note
        mov     eax, esi                ; the divisor that ended the loop
        call    note
        call    console_start
        mov     eax, NUMBER
        call    put_decimal
        mov     esi, text_prime
        cmp     dword [answer], 1
        je      .say
        mov     esi, text_not_prime
.say:   call    put_string
        call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

; EAX = 1 if EDI is prime, else 0; ESI = where the trial division ended.
is_prime:
        mov     ecx, edi
        mov     esi, 2
        cmp     esi, ecx
        jge     prime
next_i: mov     eax, ecx
        cdq
        idiv    esi
        test    edx, edx
        jz      not_prime
        inc     esi
        cmp     esi, ecx
        jl      next_i
prime:  mov     eax, 1
        ret
not_prime:
        xor     eax, eax
        ret

text_prime:     db      " is prime", 0
text_not_prime: db      " is not prime", 0
answer:         dd      0

TRAPS
END_TRAPS

%include "support.inc"

        align   PAGE
image_end:
