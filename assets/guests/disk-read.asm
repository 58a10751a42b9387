; disk-read: reads N blocks of 4 KB and adds up what is in them.
;
; The kernel goes through the disk from its beginning, a block a command,
; and starts again at its end. Native, the driver is ide.inc: an interrupt
; a sector, and each doubleword comes through a port, so that a monitor
; that emulates the drive is entered for every one of them. Under Xen the
; front end names a page, and the block is there when the answer comes.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 4
%endif
%ifndef SECTORS
%define SECTORS 8                       ; in a block
%endif
BLOCK           equ     SECTORS * 512

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    timer_start
        call    disk_start
        jc      absent
mark_started:
        rdtsc
        mov     [started], eax
        mov     [started + 4], edx

        xor     ebp, ebp                ; the number of the block
        xor     eax, eax                ; its first sector
next:   lea     edx, [eax + SECTORS]
        cmp     edx, [disk_sectors]
        jbe     .inside
        xor     eax, eax
.inside:
        mov     ecx, SECTORS
        mov     edi, buffer
        call    disk_read
        jc      failed
        mov     esi, buffer
        mov     ecx, BLOCK
        mov     ebx, sum
        call    disk_sum
mark_iteration:
        add     eax, SECTORS
        inc     ebp
        cmp     ebp, ITERATIONS
        jb      next
mark_read:
        rdtsc
        sub     eax, [started]
        sbb     edx, [started + 4]
        mov     esi, text_operation
        call    print_cycles
        SAY     text_checksum
        mov     eax, [sum]
        call    note
        call    put_hex
        jmp     end
absent: SAY     text_absent
        jmp     end
failed: SAY     text_failed
        mov     eax, ebp
        call    put_decimal
end:    call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

text_operation: db      " blocks read, cycles each: ", 0
text_checksum:  db      "checksum ", 0
text_absent:    db      "there is no disk", 0
text_failed:    db      "the disk has failed at block ", 0

        align   4
started:        dd      0, 0
sum:            dd      2166136261      ; FNV's offset basis

TRAPS
        TIMER_TRAP timer_interrupt
        DEVICE_TRAP IDE_LINE, ide_interrupt
END_TRAPS

%include "measure.inc"
%include "devices.inc"
%include "disk.inc"
%include "support.inc"

        align   PAGE
buffer: times   BLOCK db 0
image_end:
