; neighbours: talks to the station at PEER. With CALLS it sends N frames there,
; every second one to everybody, again until each has been answered; without,
; it answers N of them: the same number, and each byte plus one.

%include "abi.inc"

%define ITERATIONS 6
N               equ     ITERATIONS
LENGTH          equ     200
TYPE            equ     0xB588          ; 88B5h
AT_TYPE         equ     12
AT_NUMBER       equ     14
AT_DATA         equ     18

_start: START_KERNEL
        call    console_start
        call    timer_start
        call    network_start
        jc      end
        xor     ebp, ebp
%ifdef CALLS
send:   call    network_buffer
        jc      end
        call    head
        test    ebp, 1
        jz      .one
        mov     dword [edi], -1         ; to everybody
        mov     word [edi + 4], -1
.one:   lea     eax, [ebp * 8 + 1]
        call    fill
        mov     ecx, LENGTH
        call    network_transmit
        mov     ebx, [clock_ticks]
wait:   call    network_poll
        jnc     came
        cmp     [clock_ticks], ebx
        jne     send                    ; it did not arrive
        WAIT_FOR_INTERRUPT
        jmp     wait
came:   cmp     word [esi + AT_TYPE], TYPE
        jne     other
        cmp     [esi + AT_NUMBER], ebp
        jne     other
        xor     eax, eax
        mov     ecx, LENGTH - AT_DATA
.sum:   rol     eax, 3
        add     al, [esi + ecx + AT_DATA - 1]
        dec     ecx
        jnz     .sum
        call    note
        call    network_release
        inc     ebp
        cmp     ebp, N
        jb      send
        jmp     end
other:  call    network_release
        jmp     wait
%else
wait:   call    network_receive
        jc      end
        cmp     word [esi + AT_TYPE], TYPE
        jne     other
        call    network_buffer
        jc      end
        call    head
        mov     edx, [esi + AT_NUMBER]
        mov     [edi + AT_NUMBER], edx
        mov     ecx, LENGTH - AT_DATA
.copy:  mov     al, [esi + ecx + AT_DATA - 1]
        inc     al
        mov     [edi + ecx + AT_DATA - 1], al
        dec     ecx
        jnz     .copy
        call    network_release
        mov     ecx, LENGTH
        call    network_transmit
        cmp     edx, N - 1
        jb      wait
        mov     eax, edx
        call    note
        call    network_drain
        jmp     end
other:  call    network_release
        jmp     wait
%endif
end:    call    print_result
        SHUT_DOWN

; A frame at EDI for the peer, number EBP.
head:   push    esi
        push    edi
        mov     esi, peer
        movsd
        movsw
        mov     esi, network_mac
        movsd
        movsw
        pop     edi
        pop     esi
        mov     word [edi + AT_TYPE], TYPE
        mov     [edi + AT_NUMBER], ebp
        ret

; Its data: EAX, EAX + 1 ...
fill:   push    edi
        add     edi, AT_DATA
        mov     ecx, LENGTH - AT_DATA
.byte:  stosb
        inc     eax
        dec     ecx
        jnz     .byte
        pop     edi
        ret

peer:   db      PEER

TRAPS
        TIMER_TRAP timer_interrupt
        DEVICE_TRAP LANCE_LINE, lance_interrupt
END_TRAPS

%include "measure.inc"
%include "devices.inc"
%include "network.inc"
%include "support.inc"

        align   PAGE
image_end:
