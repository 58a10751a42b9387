; disk-write: writes N blocks of 4 KB, reads them again and compares.
;
; What it writes it can make a second time: doubleword i of block n is
; n * 2654435761 + i. The disk keeps it to itself: whatever file its
; contents came from is not changed.
;
; Native, the driver is ide.inc, and the processor carries all through a
; port. Under Xen the front end grants domain 0 the page.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 2
%endif
SECTORS         equ     8               ; in a block
BLOCK           equ     SECTORS * 512
GOLDEN_RATIO    equ     2654435761      ; times 2^-32: no two blocks alike

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    timer_start
        call    disk_start
        jc      absent
        mov     eax, [disk_sectors]     ; whole blocks that fit
        shr     eax, 3
        mov     [blocks], eax
        jz      absent
mark_started:
        rdtsc
        mov     [started], eax
        mov     [started + 4], edx
        xor     ebp, ebp                ; the number of the block
write_next:
        call    make_block
        mov     esi, buffer
        call    place
        mov     ecx, SECTORS
        call    disk_write
        jc      failed
mark_iteration:
        inc     ebp
        cmp     ebp, ITERATIONS
        jb      write_next
mark_written:
        rdtsc
        sub     eax, [started]
        sbb     edx, [started + 4]
        mov     esi, text_operation
        call    print_cycles

        ; Now read them: those that were not written over since.
        xor     ebp, ebp
        mov     eax, ITERATIONS
        sub     eax, [blocks]
        jb      read_next
        mov     ebp, eax
read_next:
        call    place
        mov     ecx, SECTORS
        mov     edi, buffer
        call    disk_read
        jc      failed
        mov     esi, buffer
        mov     ecx, BLOCK
        mov     ebx, sum
        call    disk_sum
        imul    edx, ebp, GOLDEN_RATIO
        mov     ecx, BLOCK / 4
.word:  lodsd
        cmp     eax, edx
        je      .same
        inc     dword [wrong]
.same:  inc     edx
        dec     ecx
        jnz     .word
mark_compared:
        inc     ebp
        cmp     ebp, ITERATIONS
        jb      read_next

        SAY     text_checksum
        mov     eax, [sum]
        call    note
        call    put_hex
        SAY     text_wrong
        mov     eax, [wrong]
        call    note
        call    put_decimal
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

; Make block EBP in the buffer.
make_block:
        imul    eax, ebp, GOLDEN_RATIO
        mov     edi, buffer
        mov     ecx, BLOCK / 4
.word:  stosd
        inc     eax
        dec     ecx
        jnz     .word
        ret

; EAX = the first sector of block EBP, which starts again where the disk
; ends.
place:  push    edx
        mov     eax, ebp
        xor     edx, edx
        div     dword [blocks]
        mov     eax, edx
        shl     eax, 3
        pop     edx
        ret

text_operation: db      " blocks written, cycles each: ", 0
text_checksum:  db      "read again, checksum ", 0
text_wrong:     db      ", doublewords wrong ", 0
text_absent:    db      "there is no disk", 0
text_failed:    db      "the disk has failed at block ", 0

        align   4
started:        dd      0, 0
sum:            dd      2166136261      ; FNV's offset basis
blocks:         dd      0
wrong:          dd      0

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
