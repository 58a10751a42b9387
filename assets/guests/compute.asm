; compute: integer work at user level, as in the SPECint programs.
;
; An application finds primes with a sieve, multiplies matrices, sorts and
; computes a CRC, and hardly ever calls its kernel. Such code needs no
; monitor: every technique runs it directly on the processor, at the speed
; of the bare machine. What remains is the price of paging and of the few
; system calls at the end.

%include "abi.inc"

%ifndef ITERATIONS
%define ITERATIONS 3
%endif

SYSTEM_CALL_FINISH      equ     0
SYSTEM_CALL_REPORT      equ     1       ; EBX = a result

_start:
mark_start:
        START_KERNEL
        call    paging_start
        mov     ebx, application        ; ring 3 may use these pages
        mov     ecx, application_end
        call    open_pages
mark_enter_ring_3:
        push    dword USER_DATA
        push    dword app_stack_top
        push    dword USER_FLAGS
        push    dword USER_CODE
        push    dword application
        RETURN_FROM_INTERRUPT

; INT 0x80
system_call:
        cmp     eax, SYSTEM_CALL_REPORT
        jne     finish
        push    eax
        mov     eax, ebx
        call    note
        pop     eax
        iret

finish:
mark_finish:
        call    console_start
        SAY     text_sieve
        mov     eax, [results]
        call    put_decimal
        SAY     text_matrix
        mov     eax, [results + 4]
        call    put_decimal
        SAY     text_sort
        mov     eax, [results + 8]
        call    put_decimal
        SAY     text_crc
        mov     eax, [results + 12]
        call    put_hex
        call    end_line
        call    print_result
mark_done:
        SHUT_DOWN

text_sieve:     db      "primes ", 0
text_matrix:    db      ", trace ", 0
text_sort:      db      ", median ", 0
text_crc:       db      ", CRC-32 ", 0

TRAPS
        TRAP    0x80, system_call, RING_3, TRAP_GATE
END_TRAPS

%include "paging.inc"
%include "support.inc"

; ---- ring 3 ----------------------------------------------------------

LIMIT           equ     1000            ; of the sieve
ORDER           equ     8               ; of the matrices
COUNT           equ     64              ; of the numbers to sort

        align   PAGE
application:
        mov     dword [rounds], ITERATIONS
round:
mark_round:
        call    sieve
mark_sieve:
        mov     [results], eax
        call    matrix
mark_matrix:
        mov     [results + 4], eax
        call    sort
mark_sort:
        mov     [results + 8], eax
        call    crc
mark_crc:
        mov     [results + 12], eax
        dec     dword [rounds]
        jnz     round

        ; Report the four.
        mov     esi, results
report: mov     ebx, [esi]
        mov     eax, SYSTEM_CALL_REPORT
        int     0x80
        add     esi, 4
        cmp     esi, results + 16
        jb      report
        mov     eax, SYSTEM_CALL_FINISH
        int     0x80

; The sieve of Eratosthenes. EAX = number of primes below LIMIT.
sieve:
        mov     edi, flags
        mov     al, 1
        mov     ecx, LIMIT
        rep     stosb                   ; all may be prime
        xor     eax, eax
        mov     ebx, 2
.number:
        cmp     byte [flags + ebx], 0
        je      .next
        inc     eax
        lea     ecx, [ebx + ebx]
.multiple:
        cmp     ecx, LIMIT
        jae     .next
        mov     byte [flags + ecx], 0
        add     ecx, ebx
        jmp     .multiple
.next:  inc     ebx
        cmp     ebx, LIMIT
        jb      .number
        ret

; C = A * B for A[i][j] = i + j, B[i][j] = 3i - j. EAX = trace of C.
matrix:
        xor     ebx, ebx                ; row
.row:   xor     ecx, ecx                ; column
.column:
        xor     esi, esi                ; the sum
        xor     edx, edx                ; k
.term:  lea     eax, [ebx + edx]        ; A[row][k]
        lea     edi, [edx + edx * 2]
        sub     edi, ecx                ; B[k][column]
        imul    eax, edi
        add     esi, eax
        inc     edx
        cmp     edx, ORDER
        jb      .term
        lea     eax, [ecx + ebx * ORDER]
        mov     [product + eax * 4], esi
        inc     ecx
        cmp     ecx, ORDER
        jb      .column
        inc     ebx
        cmp     ebx, ORDER
        jb      .row
        xor     eax, eax
        xor     ebx, ebx
.trace: add     eax, [product + ebx]
        add     ebx, (ORDER + 1) * 4    ; down the diagonal
        cmp     ebx, ORDER * ORDER * 4
        jb      .trace
        ret

; Insertion sort of COUNT pseudo-random numbers. EAX = their median.
sort:
        mov     eax, 12345
        xor     ebx, ebx
.fill:  imul    eax, eax, 1103515245    ; a linear congruence
        add     eax, 12345
        mov     ecx, eax
        shr     ecx, 16
        mov     [list + ebx * 4], ecx
        inc     ebx
        cmp     ebx, COUNT
        jb      .fill
        mov     ebx, 1
.insert:
        mov     eax, [list + ebx * 4]
        mov     ecx, ebx
.shift: mov     edx, [list + ecx * 4 - 4]
        cmp     edx, eax
        jbe     .place
        mov     [list + ecx * 4], edx   ; make room
        dec     ecx
        jnz     .shift
.place: mov     [list + ecx * 4], eax
        inc     ebx
        cmp     ebx, COUNT
        jb      .insert
        mov     eax, [list + COUNT / 2 * 4]
        ret

; CRC-32 (polynomial EDB88320, reflected), a bit at a time, of the list.
crc:
        mov     esi, list
        mov     edi, list + COUNT * 4
        mov     eax, 0xFFFFFFFF
.byte:  xor     al, [esi]
        mov     ecx, 8
.bit:   shr     eax, 1
        jnc     .even
        xor     eax, 0xEDB88320
.even:  dec     ecx
        jnz     .bit
        inc     esi
        cmp     esi, edi
        jb      .byte
        not     eax
        ret

        align   4
rounds:         dd      0
results:        times   4 dd 0
list:           times   COUNT dd 0
product:        times   ORDER * ORDER dd 0
flags:          times   LIMIT db 0

        align   16
        times   256 db 0
app_stack_top:
        align   PAGE
application_end:
image_end:
