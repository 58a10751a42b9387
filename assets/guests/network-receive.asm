; network-receive: asks for N frames of S bytes and takes them.
;
; A station on the same network sends them, as many at a time as we have
; buffers for; it asks nobody whether they arrive. The kernel looks whether
; they come in order and adds up what is in them, and at the end asks the
; station for its own sum.
;
; Native, the adapter puts a frame into memory by itself and interrupts;
; one interrupt may stand for several frames. Under Xen domain 0 takes the
; frame from the adapter and passes it on to our front end.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 16
%endif
%ifndef FRAME_BYTES
%define FRAME_BYTES 1514                ; the longest there is
%endif
WINDOW          equ     8               ; frames asked for at a time

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    timer_start
        call    network_start
        jc      absent
mark_started:
        rdtsc
        mov     [started], eax
        mov     [started + 4], edx

        xor     ebp, ebp                ; frames that have come
ask:    mov     ebx, ITERATIONS         ; ask for what is missing, but not
        sub     ebx, ebp                ; more than a window
        cmp     ebx, WINDOW
        jbe     .few
        mov     ebx, WINDOW
.few:   mov     eax, STATION_FETCH
        mov     edx, ebp
        mov     ecx, FRAME_BYTES
        call    station_ask
        jc      late
        add     ebx, ebp                ; the number behind the window
next:   mov     eax, STATION_FETCH
        call    station_answer
        jc      late
        cmp     [esi + AT_NUMBER], ebp
        je      .order
        inc     dword [disorder]
.order: push    ebx
        mov     ebx, sum
        call    station_sum
        pop     ebx
        call    network_release
mark_iteration:
        inc     ebp
        cmp     ebp, ebx
        jb      next
        cmp     ebp, ITERATIONS
        jb      ask
mark_received:
        rdtsc
        sub     eax, [started]
        sbb     edx, [started + 4]
        mov     esi, text_operation
        call    print_cycles

        mov     eax, STATION_REPORT
        mov     edx, ebp
        call    station_ask
        jc      late
        call    station_answer
        jc      late
        mov     edi, esi
        SAY     text_sent
        mov     eax, [edi + AT_DATA]
        call    note
        call    put_decimal
        SAY     text_checksum
        mov     eax, [edi + AT_DATA + 4]
        call    note
        call    put_hex
        call    network_release
        SAY     text_ours
        mov     eax, [sum]
        call    note
        call    put_hex
        call    end_line
        mov     eax, [disorder]
        call    note
        call    put_decimal
        SAY     text_disorder
        jmp     end
absent: SAY     text_absent
        jmp     end
late:   SAY     text_late
end:    call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

text_operation: db      " frames received, cycles each: ", 0
text_sent:      db      "the station has sent ", 0
text_checksum:  db      ", checksum ", 0
text_ours:      db      ", ours ", 0
text_disorder:  db      " out of order", 0
text_absent:    db      "there is no network adapter", 0
text_late:      db      "three seconds have passed, and nothing came", 0

        align   4
started:        dd      0, 0
disorder:       dd      0
sum:            dd      2166136261      ; as the station begins

TRAPS
        TIMER_TRAP timer_interrupt
        DEVICE_TRAP LANCE_LINE, lance_interrupt
END_TRAPS

%include "measure.inc"
%include "devices.inc"
%include "station.inc"
%include "network.inc"
%include "support.inc"

        align   PAGE
image_end:
