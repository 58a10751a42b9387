; network-send: sends N frames of S bytes and asks who got them.
;
; The frames go to a station on the same network, which counts them and
; adds up what is in them. So does this kernel while it makes them, and at
; the end both are compared: a frame that was lost or changed on its way,
; through however many hands it went, shows.
;
; Native, the way is a driver for the adapter itself (lance.inc): the frame
; stays in memory, and what passes through a port is one write that tells
; the adapter to look. Under Xen it is a front end, and domain 0 has the
; driver.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 16
%endif
%ifndef FRAME_BYTES
%define FRAME_BYTES 1514                ; the longest there is
%endif

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

        xor     ebp, ebp                ; the number of the frame
next:   call    network_buffer
        jc      late
        mov     eax, STATION_SEND
        mov     edx, ebp
        call    station_frame
        mov     esi, edi                ; fill it: byte i of frame n is
        add     edi, AT_DATA            ; i + n
        lea     eax, [ebp + AT_DATA]
        mov     ecx, FRAME_BYTES - AT_DATA
.fill:  stosb
        inc     eax
        dec     ecx
        jnz     .fill
        mov     ecx, FRAME_BYTES
        mov     ebx, sum
        call    station_sum
        call    network_transmit
mark_iteration:
        inc     ebp
        cmp     ebp, ITERATIONS
        jb      next
        call    network_drain
        jc      late
mark_sent:
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
        SAY     text_received
        mov     eax, [edi + AT_COUNT]
        call    note
        call    put_decimal
        SAY     text_checksum
        mov     eax, [edi + AT_SIZE]
        call    note
        call    put_hex
        call    network_release
        SAY     text_ours
        mov     eax, [sum]
        call    note
        call    put_hex
        jmp     end
absent: SAY     text_absent
        jmp     end
late:   SAY     text_late
end:    call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

text_operation: db      " frames sent, cycles each: ", 0
text_received:  db      "the station has received ", 0
text_checksum:  db      ", checksum ", 0
text_ours:      db      ", ours ", 0
text_absent:    db      "there is no network adapter", 0
text_late:      db      "three seconds have passed, and nothing came", 0

        align   4
started:        dd      0, 0
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
