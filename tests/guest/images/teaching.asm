; teaching: a kernel as a course has one written, to boot with a multiboot
; loader. It logs to COM1 by polling and prints on the VGA text screen,
; manages frames by a bitmap, turns paging on, and runs four processes in
; ring 3, each in an address space of its own. The PIT preempts them a
; thousand times a second; their heaps get memory by page faults, and they
; ask for services by INT 0x80: 0 exit (EBX = value), 1 print (EBX = text,
; ECX = number), 2 yield.
;
; What is printed on COM1 depends on neither time nor who runs when.

COM1            equ     0x3F8
SCREEN          equ     0x000B8000
COLUMNS         equ     80
ROWS            equ     25
CRTC            equ     0x3D4
KERNEL_CODE     equ     0x08
KERNEL_DATA     equ     0x10
USER_CODE       equ     0x1B
USER_DATA       equ     0x23
TASK            equ     0x28
TIMER_VECTOR    equ     0x20
KEY_VECTOR      equ     0x21
HERTZ           equ     1000
PIT_HERTZ       equ     1193182

BASE            equ     0x00100000
FRAMES          equ     4096            ; of 16 MB
FIRST_FREE      equ     0x200           ; the kernel has the first 2 MB
USER_TEXT       equ     0x00400000
HEAP            equ     0x00800000
HEAP_END        equ     0x00900000
STACK_TOP       equ     0x00C00000
PRESENT         equ     1
WRITABLE        equ     2
USER            equ     4

; A process: where its registers are while it waits, its page directory,
; the top of its kernel stack, whether it runs, and what it gave to exit.
P_ESP           equ     0
P_SPACE         equ     4
P_STACK         equ     8
P_RUNS          equ     12
P_VALUE         equ     16
PROCESS         equ     32
PROCESSES       equ     4
ROUNDS          equ     3

        bits    32
        org     BASE
file:
        db      0x7F, "ELF", 1, 1, 1    ; 32 bits, little-endian
        times   9 db 0
        dw      2, 3                    ; an executable for the 80386
        dd      1, start, headers - file, 0, 0
        dw      52, 32, 1, 0, 0, 0
headers:
        dd      1, 0, BASE, BASE        ; load it whole,
        dd      file_end - file, bss_end - file, 7, 4096

        align   4
header: dd      0x1BADB002
        dd      0x00000003              ; whole pages, memory
        dd      -(0x1BADB002 + 0x00000003)

start:
        cli
        cld
        mov     esp, boot_stack
        push    dword [ebx + 8]         ; KB above the first megabyte
        call    serial_start
        call    screen_start
        mov     esi, text_hello
        call    log
        call    tables_start
        mov     esi, text_tables
        call    log
        call    interrupts_start
        mov     esi, text_interrupts
        call    log
        pop     eax
        call    memory_start
        mov     esi, text_memory
        call    log
        call    paging_start
        mov     esi, text_paging
        call    log

        xor     ebp, ebp
.create:
        call    create
        inc     ebp
        cmp     ebp, PROCESSES
        jb      .create
        mov     esi, text_processes
        call    log
        mov     dword [left], PROCESSES
        mov     dword [current], processes
        jmp     resume

; ---- the processor's tables, interrupts ------------------------------

tables_start:
        mov     eax, tss                ; the base of its descriptor
        mov     [gdt_task + 2], ax
        shr     eax, 16
        mov     [gdt_task + 4], al
        mov     [gdt_task + 7], ah
        mov     dword [tss + 8], KERNEL_DATA    ; SS0
        mov     word [tss + 102], 104           ; no permission bitmap
        lgdt    [gdt_pointer]
        jmp     KERNEL_CODE:.segments
.segments:
        mov     ecx, KERNEL_DATA
        mov     ds, ecx
        mov     es, ecx
        mov     fs, ecx
        mov     gs, ecx
        mov     ss, ecx
        mov     ecx, TASK
        ltr     cx
        ret

interrupts_start:
        mov     edi, idt
        xor     ecx, ecx
.gate:  mov     eax, unexpected
        mov     edx, 0x8E00
        cmp     ecx, 14
        jne     .timer
        mov     eax, page_fault
.timer: cmp     ecx, TIMER_VECTOR
        jne     .key
        mov     eax, timer
.key:   cmp     ecx, KEY_VECTOR
        jne     .call
        mov     eax, key
.call:  cmp     ecx, 0x80
        jne     .put
        mov     eax, system_call
        mov     edx, 0xEE00             ; also from ring 3
.put:   mov     ebx, eax
        and     eax, 0xFFFF
        or      eax, KERNEL_CODE << 16
        stosd
        and     ebx, 0xFFFF0000
        or      ebx, edx
        mov     eax, ebx
        stosd
        inc     ecx
        cmp     ecx, 256
        jb      .gate
        lidt    [idt_pointer]

        mov     al, 0x11                ; both 8259s: vectors 20h and 28h
        out     0x20, al
        out     0xA0, al
        mov     al, 0x20
        out     0x21, al
        mov     al, 0x28
        out     0xA1, al
        mov     al, 0x04
        out     0x21, al
        mov     al, 0x02
        out     0xA1, al
        mov     al, 0x01
        out     0x21, al
        out     0xA1, al
        mov     al, 0xFC                ; timer and keyboard
        out     0x21, al
        mov     al, 0xFF
        out     0xA1, al

        mov     al, 0x36                ; channel 0: a square wave
        out     0x43, al
        mov     eax, PIT_HERTZ / HERTZ
        out     0x40, al
        mov     al, ah
        out     0x40, al
        ret

; The tick: another process has its turn.
timer:
        pushad
        mov     al, 0x20
        out     0x20, al
        inc     dword [ticks]
        call    schedule
        jmp     resume

key:
        pushad
        in      al, 0x60
        mov     al, 0x20
        out     0x20, al
        popad
        iretd

unexpected:
        mov     esi, text_unexpected
        call    log
        mov     al, 1
        jmp     end

; ---- memory ----------------------------------------------------------

; EAX: KB of it above the first megabyte.
memory_start:
        mov     ecx, FRAMES / 32        ; all taken,
        mov     edi, frame_bits
        push    eax
        mov     eax, -1
        rep     stosd
        pop     edx
        shr     edx, 2
        add     edx, 256
        cmp     edx, FRAMES
        jbe     .fits
        mov     edx, FRAMES
.fits:  mov     ecx, FIRST_FREE         ; and those free that are there
.free:  btr     [frame_bits], ecx
        inc     ecx
        cmp     ecx, edx
        jb      .free
        ret

; Take a frame and clear it: its address in EAX.
allocate:
        push    ecx
        push    edi
        mov     ecx, FIRST_FREE
.look:  bt      [frame_bits], ecx
        jnc     .found
        inc     ecx
        cmp     ecx, FRAMES
        jb      .look
        jmp     unexpected
.found: bts     [frame_bits], ecx
        shl     ecx, 12
        mov     edi, ecx
        push    ecx
        mov     ecx, 1024
        xor     eax, eax
        rep     stosd
        pop     eax
        pop     edi
        pop     ecx
        ret

; The first 4 MB are the kernel's in every address space; the frames above
; are reached at 3 GB, where all 16 MB are.
paging_start:
        call    allocate
        mov     [kernel_space], eax
        mov     edx, eax
        xor     ecx, ecx                ; page table
        mov     ebx, PRESENT | WRITABLE ; entry
.table: call    allocate
        mov     edi, eax
        or      eax, PRESENT | WRITABLE
        mov     [edx + ecx * 4 + 0xC00], eax    ; at 3 GB
        cmp     ecx, 0
        jne     .entries
        mov     [edx], eax              ; and where it was loaded
.entries:
        mov     esi, 1024
.entry: mov     [edi], ebx
        add     edi, 4
        add     ebx, 4096
        dec     esi
        jnz     .entry
        inc     ecx
        cmp     ecx, 4
        jb      .table
        mov     cr3, edx
        mov     eax, cr0
        or      eax, 0x80010000         ; PG, WP
        mov     cr0, eax
        ret

; In the address space at EDX (physical), map the page at EBX to a new
; frame, for ring 3: the frame as the kernel sees it, at 3 GB, in EAX.
map:
        push    ecx
        push    edi
        mov     ecx, ebx
        shr     ecx, 22
        lea     edi, [edx + ecx * 4 + 0xC0000000]
        test    dword [edi], PRESENT
        jnz     .table
        call    allocate_above
        sub     eax, 0xC0000000
        or      eax, PRESENT | WRITABLE | USER
        mov     [edi], eax
.table: mov     edi, [edi]
        and     edi, 0xFFFFF000
        mov     ecx, ebx
        shr     ecx, 12
        and     ecx, 1023
        call    allocate_above
        push    eax
        sub     eax, 0xC0000000
        or      eax, PRESENT | WRITABLE | USER
        mov     [edi + ecx * 4 + 0xC0000000], eax
        pop     eax
        pop     edi
        pop     ecx
        ret

; As `allocate`, once paging is on.
allocate_above:
        push    ecx
        push    edi
        mov     ecx, FIRST_FREE
.look:  bt      [frame_bits], ecx
        jnc     .found
        inc     ecx
        cmp     ecx, FRAMES
        jb      .look
        jmp     unexpected
.found: bts     [frame_bits], ecx
        shl     ecx, 12
        add     ecx, 0xC0000000
        mov     edi, ecx
        push    ecx
        mov     ecx, 1024
        xor     eax, eax
        rep     stosd
        pop     eax
        pop     edi
        pop     ecx
        ret

; An absent page of the heap gets memory; anything else ends the run.
page_fault:
        pushad
        mov     ebx, cr2
        cmp     ebx, HEAP
        jb      unexpected
        cmp     ebx, HEAP_END
        jae     unexpected
        test    dword [esp + 32], PRESENT
        jnz     unexpected
        and     ebx, 0xFFFFF000
        mov     ebp, [current]
        mov     edx, [ebp + P_SPACE]
        call    map
        inc     dword [faults]
        popad
        add     esp, 4                  ; the error code
        iretd

; ---- processes -------------------------------------------------------

; Make number EBP.
create:
        push    ebp
        call    allocate_above
        lea     edx, [eax - 0xC0000000]
        mov     esi, [kernel_space]
        mov     ecx, [esi + 0xC0000000]
        mov     [eax], ecx
        xor     ecx, ecx
.share: mov     ebx, [esi + ecx * 4 + 0xC0000C00]
        mov     [eax + ecx * 4 + 0xC00], ebx
        inc     ecx
        cmp     ecx, 4
        jb      .share
        mov     ebx, USER_TEXT
        call    map
        mov     edi, eax
        mov     esi, programs
        mov     ecx, (programs_end - programs + 3) / 4
        rep     movsd
        mov     ebx, STACK_TOP - 4096
        call    map
        call    allocate_above          ; its kernel stack
        lea     ecx, [eax + 4096]
        mov     esi, ebp
        shl     esi, 5
        add     esi, processes
        mov     [esi + P_SPACE], edx
        mov     [esi + P_STACK], ecx
        mov     dword [esi + P_RUNS], 1
        sub     ecx, 20 + 32
        mov     [esi + P_ESP], ecx
        mov     ebx, [program_starts + ebp * 4]
        mov     [ecx + 32], ebx
        mov     dword [ecx + 36], USER_CODE
        mov     dword [ecx + 40], 0x202
        mov     dword [ecx + 44], STACK_TOP
        mov     dword [ecx + 48], USER_DATA
        pop     ebp
        ret

; Called behind PUSHAD: keep the present process, choose the next.
schedule:
        mov     ebp, [current]
        lea     eax, [esp + 4]
        mov     [ebp + P_ESP], eax
.next:  add     ebp, PROCESS
        cmp     ebp, processes_end
        jb      .runs
        mov     ebp, processes
.runs:  cmp     dword [ebp + P_RUNS], 0
        je      .next
        mov     [current], ebp
        ret

; Continue the current process.
resume:
        mov     ebp, [current]
        mov     eax, [ebp + P_STACK]
        mov     [tss + 4], eax
        mov     eax, [ebp + P_SPACE]
        mov     ecx, cr3
        cmp     eax, ecx
        je      .there
        mov     cr3, eax
        inc     dword [switches]
.there: mov     ecx, USER_DATA
        mov     ds, ecx
        mov     es, ecx
        mov     esp, [ebp + P_ESP]
        popad
        iretd

system_call:
        pushad
        mov     edx, KERNEL_DATA
        mov     ds, edx
        mov     es, edx
        mov     ebp, [current]
        cmp     eax, 1
        je      .print
        cmp     eax, 2
        je      .yield
        mov     [ebp + P_VALUE], ebx
        mov     dword [ebp + P_RUNS], 0
        dec     dword [left]
        jz      finish
.yield: call    schedule
        jmp     resume
.print: mov     esi, ebx
        call    put_text
        mov     eax, ecx
        call    put_number
        call    put_line
        mov     ecx, USER_DATA
        mov     ds, ecx
        mov     es, ecx
        popad
        iretd

; All have ended: tell what came of each.
finish:
        xor     ebp, ebp
.next:  mov     ebx, ebp
        shl     ebx, 5
        mov     eax, [processes + ebx + P_VALUE]
        call    log_number
        inc     ebp
        cmp     ebp, PROCESSES
        jb      .next
        mov     al, 1
        cmp     dword [faults], PROCESSES       ; each had memory to ask for
        jb      end
        mov     esi, text_done
        call    log
        mov     al, 0
end:    mov     dx, 0x0501              ; what ends a run of QEMU
        out     dx, al
        cli
        hlt

; ---- the screen ------------------------------------------------------

screen_start:
        mov     edi, SCREEN
        mov     ecx, COLUMNS * ROWS
        mov     ax, 0x0720
        rep     stosw
        mov     dword [cursor], 0
        jmp     show_cursor

put_text:
        lodsb
        test    al, al
        jz      .done
        call    put_character
        jmp     put_text
.done:  ret

put_character:
        push    edi
        mov     edi, [cursor]
        mov     ah, 0x07
        mov     [SCREEN + edi * 2], ax
        inc     edi
        mov     [cursor], edi
        cmp     edi, COLUMNS * ROWS
        jb      .fits
        call    scroll
.fits:  pop     edi
        ret

; To the next line; only now does the cursor that one sees follow.
put_line:
        push    eax
        push    ecx
        push    edx
        mov     eax, [cursor]
        xor     edx, edx
        mov     ecx, COLUMNS
        div     ecx
        inc     eax
        mul     ecx
        mov     [cursor], eax
        cmp     eax, COLUMNS * ROWS
        jb      .fits
        call    scroll
.fits:  call    show_cursor
        pop     edx
        pop     ecx
        pop     eax
        ret

scroll:
        push    eax
        push    ecx
        push    esi
        push    edi
        mov     edi, SCREEN
        mov     esi, SCREEN + COLUMNS * 2
        mov     ecx, COLUMNS * (ROWS - 1) / 2
        rep     movsd
        mov     ecx, COLUMNS / 2
        mov     eax, 0x07200720
        rep     stosd
        sub     dword [cursor], COLUMNS
        pop     edi
        pop     esi
        pop     ecx
        pop     eax
        ret

show_cursor:
        mov     dx, CRTC
        mov     al, 14
        out     dx, al
        inc     dx
        mov     al, [cursor + 1]
        out     dx, al
        dec     dx
        mov     al, 15
        out     dx, al
        inc     dx
        mov     al, [cursor]
        out     dx, al
        ret

; EAX in decimal.
put_number:
        push    ebx
        push    ecx
        push    edx
        mov     ebx, 10
        xor     ecx, ecx
.digit: xor     edx, edx
        div     ebx
        push    edx
        inc     ecx
        test    eax, eax
        jnz     .digit
.put:   pop     eax
        add     al, '0'
        call    put_character
        loop    .put
        pop     edx
        pop     ecx
        pop     ebx
        ret

; ---- COM1 ------------------------------------------------------------

serial_start:
        mov     dx, COM1 + 1
        mov     al, 0
        out     dx, al
        mov     dx, COM1 + 3
        mov     al, 0x80
        out     dx, al
        mov     dx, COM1
        mov     al, 1                   ; 115200 baud
        out     dx, al
        inc     dx
        mov     al, 0
        out     dx, al
        mov     dx, COM1 + 3
        mov     al, 3
        out     dx, al
        ret

; Send AL once there is room.
send:
        push    edx
        push    eax
        mov     dx, COM1 + 5
.busy:  in      al, dx
        test    al, 0x20
        jz      .busy
        pop     eax
        mov     dx, COM1
        out     dx, al
        pop     edx
        ret

; A line for the log: on the screen and on COM1.
log:
        push    esi
        call    put_text
        call    put_line
        pop     esi
.send:  lodsb
        test    al, al
        jz      send_line
        call    send
        jmp     .send
send_line:
        mov     al, 10
        jmp     send

; The same of EAX, in hexadecimal.
log_number:
        push    ecx
        mov     edx, eax
        mov     ecx, 8
.digit: rol     edx, 4
        mov     eax, edx
        and     eax, 15
        mov     al, [hexadecimal + eax]
        push    eax
        call    put_character
        pop     eax
        call    send
        loop    .digit
        call    put_line
        call    send_line
        pop     ecx
        ret

text_hello:     db      "teaching kernel", 0
text_tables:    db      "gdt, tss", 0
text_interrupts: db     "idt, pic, pit", 0
text_memory:    db      "frames", 0
text_paging:    db      "paging", 0
text_processes: db      "four processes", 0
text_done:      db      "done", 0
text_unexpected: db     "unexpected interrupt", 0
hexadecimal:    db      "0123456789ABCDEF"

; ---- the programs, at USER_TEXT in each address space -----------------

        align   4
program_starts:
        dd      primes - programs + USER_TEXT, matrices - programs + USER_TEXT
        dd      sort - programs + USER_TEXT, checksum - programs + USER_TEXT

        align   16
programs:

; EBX: what EBP rounds came to. EDI: its name.
report:
        push    eax
        push    ebx
        mov     ecx, ebx
        mov     ebx, edi
        mov     eax, 1
        int     0x80
        pop     ebx
        pop     eax
        ret

; The primes below 16384, by the sieve.
primes:
        mov     ebp, ROUNDS
.round: mov     edi, HEAP
        mov     ecx, 16384 / 4
        xor     eax, eax
        rep     stosd
        xor     ebx, ebx
        mov     ecx, 2
.next:  cmp     byte [HEAP + ecx], 0
        jne     .composite
        inc     ebx
        mov     edx, ecx
        add     edx, ecx
.mark:  cmp     edx, 16384
        jae     .composite
        mov     byte [HEAP + edx], 1
        add     edx, ecx
        jmp     .mark
.composite:
        inc     ecx
        cmp     ecx, 16384
        jb      .next
        mov     edi, name_primes - programs + USER_TEXT
        call    report
        dec     ebp
        jnz     .round
        xor     eax, eax
        int     0x80

; The product of two matrices of 32 by 32 numbers, and the trace of it.
A               equ     HEAP
B               equ     HEAP + 0x1000
C               equ     HEAP + 0x2000
matrices:
        mov     ebp, ROUNDS
.round: xor     ecx, ecx
        mov     eax, ebp
.fill:  mov     [A + ecx * 4], eax
        imul    eax, eax, 1103515245
        add     eax, 12345
        mov     [B + ecx * 4], eax
        inc     ecx
        cmp     ecx, 1024
        jb      .fill
        xor     esi, esi                ; row
.row:   xor     edi, edi                ; column
.column:
        mov     ebx, esi
        shl     ebx, 7                  ; of the row, in bytes
        lea     edx, [edi * 4]
        xor     eax, eax
        push    ebp
        mov     ebp, 32
.inner: mov     ecx, [A + ebx]
        imul    ecx, [B + edx]
        add     eax, ecx
        add     ebx, 4
        add     edx, 128
        dec     ebp
        jnz     .inner
        pop     ebp
        mov     ebx, esi
        shl     ebx, 5
        add     ebx, edi
        mov     [C + ebx * 4], eax
        inc     edi
        cmp     edi, 32
        jb      .column
        inc     esi
        cmp     esi, 32
        jb      .row
        xor     ebx, ebx
        xor     ecx, ecx
.trace: add     ebx, [C + ecx * 4]
        add     ecx, 33
        cmp     ecx, 1024
        jb      .trace
        mov     edi, name_matrices - programs + USER_TEXT
        call    report
        dec     ebp
        jnz     .round
        xor     eax, eax
        int     0x80

; 512 numbers, sorted by insertion; then a sum that depends on the order.
sort:
        mov     ebp, ROUNDS
.round: xor     ecx, ecx
        lea     eax, [ebp + 7]
.fill:  imul    eax, eax, 1103515245
        add     eax, 12345
        mov     [HEAP + ecx * 4], eax
        inc     ecx
        cmp     ecx, 512
        jb      .fill
        mov     esi, 1
.next:  mov     eax, [HEAP + esi * 4]
        mov     ecx, esi
.down:  mov     edx, [HEAP + ecx * 4 - 4]
        cmp     edx, eax
        jbe     .place
        mov     [HEAP + ecx * 4], edx
        dec     ecx
        jnz     .down
.place: mov     [HEAP + ecx * 4], eax
        inc     esi
        cmp     esi, 512
        jb      .next
        xor     ebx, ebx
        xor     ecx, ecx
.sum:   rol     ebx, 1
        xor     ebx, [HEAP + ecx * 4]
        inc     ecx
        cmp     ecx, 512
        jb      .sum
        mov     edi, name_sort - programs + USER_TEXT
        call    report
        dec     ebp
        jnz     .round
        xor     eax, eax
        int     0x80

; The CRC-32 of 16 KB, by a table.
TABLE           equ     HEAP
BUFFER          equ     HEAP + 0x1000
checksum:
        xor     ecx, ecx
.entry: mov     eax, ecx
        mov     edx, 8
.bit:   shr     eax, 1
        jnc     .even
        xor     eax, 0xEDB88320
.even:  dec     edx
        jnz     .bit
        mov     [TABLE + ecx * 4], eax
        inc     ecx
        cmp     ecx, 256
        jb      .entry
        mov     ebp, ROUNDS
.round: xor     ecx, ecx
        mov     eax, ebp
.fill:  mov     [BUFFER + ecx], al
        add     eax, 7
        rol     eax, 3
        inc     ecx
        cmp     ecx, 16384
        jb      .fill
        mov     ebx, -1
        xor     ecx, ecx
.byte:  movzx   eax, byte [BUFFER + ecx]
        xor     al, bl
        shr     ebx, 8
        xor     ebx, [TABLE + eax * 4]
        inc     ecx
        cmp     ecx, 16384
        jb      .byte
        not     ebx
        mov     edi, name_checksum - programs + USER_TEXT
        call    report
        dec     ebp
        jnz     .round
        xor     eax, eax
        int     0x80

name_primes:    db      "primes ", 0
name_matrices:  db      "trace ", 0
name_sort:      db      "sorted ", 0
name_checksum:  db      "crc ", 0
programs_end:

        align   8
gdt:    dq      0
        dw      0xFFFF, 0, 0x9A00, 0x00CF
        dw      0xFFFF, 0, 0x9200, 0x00CF
        dw      0xFFFF, 0, 0xFA00, 0x00CF
        dw      0xFFFF, 0, 0xF200, 0x00CF
gdt_task:
        dw      103, 0, 0x8900, 0x0000
gdt_pointer:
        dw      $ - gdt - 1
        dd      gdt
idt_pointer:
        dw      256 * 8 - 1
        dd      idt
        align   16
file_end:

; Memory beyond the file, which the loader clears.
idt             equ     file_end
tss             equ     idt + 256 * 8
frame_bits      equ     tss + 112
processes       equ     frame_bits + FRAMES / 8
processes_end   equ     processes + PROCESSES * PROCESS
current         equ     processes_end
left            equ     current + 4
ticks           equ     left + 4
faults          equ     ticks + 4
switches        equ     faults + 4
cursor          equ     switches + 4
kernel_space    equ     cursor + 4
boot_stack      equ     kernel_space + 4 + 4096
bss_end         equ     boot_stack
