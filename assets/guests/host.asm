; host: a small host operating system, such as Linux or Windows is to a
; hosted virtual machine monitor (VMware Workstation).
;
; Its kernel has drivers for timer, disk and network adapter, processes with
; page tables of their own, and system calls that can wait. Run by itself it
; tests all of these and ends. As a host it starts a process VMApp for each
; virtual machine, whose system call SYSTEM_RUN leads through VMDriver into
; that machine's own world. Which of them runs is for this kernel to say:
; they take turns, for a slice of time each, and one that waits has none.
;
; An entry from ring 3 saves the process in its slot, as in minikernel:
;
;       slot + 0    state, directory, what it waits for, exit value, number
;            + 204  EDI ESI EBP ESP EBX EDX ECX EAX      by PUSHAD
;            + 236  EIP CS EFLAGS ESP SS                 by the processor
;            + 256  the end: TSS.ESP0
;
; A system call that has to wait is made again when the process wakes: its
; EIP goes back to the INT. The kernel itself is never interrupted, but
; where it has nothing to do.

%define HOST_DESCRIPTORS
%include "abi.inc"
%include "host_shared.inc"

VMDRIVER_CODE   equ     0x30            ; see support_native.inc
VMAPP_CODE      equ     0x38 + 3

SLOT_STATE      equ     0
SLOT_SPACE      equ     4
SLOT_WAITS      equ     8
SLOT_VALUE      equ     12
SLOT_NUMBER     equ     16
SLOT_AGAIN      equ     20              ; select has waited already
SLOT_SHARED     equ     24              ; VMApp's shared pages, for us
SLOT_CROSS      equ     28              ; and its switch page
SLOT_GUEST      equ     32              ; bytes of guest memory; 0: no VMApp
SLOT_MEMORY     equ     36              ; where in the machine's memory
SLOT_LEFT       equ     40              ; counts till it is told; 0: never
SLOT_SLICE      equ     44              ; cycles that it may run at a time
SLOT_TICK       equ     48              ; timer counts: no more than these
SLOT_EXTENT     equ     52              ; its part of the disk: first sector,
SLOT_SECTORS    equ     56              ; how many,
SLOT_POSITION   equ     60              ; and where in it it is
SLOT_STATION    equ     64              ; its port of VMNet: address,
SLOT_PORT       equ     72              ; 1: it has one,
SLOT_QUEUE      equ     76              ; the frames that wait for it,
SLOT_FIRST      equ     80              ; which is first, and how many
SLOT_FRAMES     equ     84
SLOT_SIZES      equ     88              ; their sizes, a word each
SLOT_REGISTERS  equ     204
SLOT_EAX        equ     232
SLOT_FRAME      equ     236
SLOT            equ     256
OVER            equ     0
READY           equ     1
WAITING         equ     2

WAIT_DISK       equ     1
WAIT_PACKET     equ     2
WAIT_TIMER      equ     4
WAIT_SEND       equ     8
WAIT_INPUT      equ     16

SYSTEM_EXIT     equ     0               ; EBX = value
SYSTEM_WRITE    equ     1               ; EBX = file, ECX = from, EDX = count
SYSTEM_READ     equ     2               ; EBX = file, ECX = to, EDX = count
SYSTEM_SEEK     equ     3               ; ECX = sector
SYSTEM_SELECT   equ     4               ; EBX = timer counts, 0, or -1
SYSTEM_ATTACH   equ     5               ; ECX = station address
SYSTEM_RUN      equ     6               ; to VMDriver
SYSTEM_YIELD    equ     7
SYSTEM_CALLS    equ     8
FILE_CONSOLE    equ     0
FILE_NETWORK    equ     1
FILE_DISK       equ     2
FILE_IDENTITY   equ     3               ; what the disk says of itself
SELECT_PACKET   equ     1
SELECT_INPUT    equ     2

_start:
mark_start:
        START_KERNEL
        call    console_start
        call    memory_start
        call    interrupts_start
        call    disk_start
        call    network_start
mark_drivers:
        mov     ebp, process_1
        mov     edx, VMAPP_CODE
        mov     esi, shared_page
        cmp     dword [esi + S_GUEST], 0
        je      .alone
.vm:    mov     eax, vmapp
        call    create
        add     ebp, SLOT
        add     esi, SHARED_BYTES
        cmp     ebp, processes_end
        jae     mark_created
        cmp     dword [esi + S_GUEST], 0
        jne     .vm
        jmp     mark_created
.alone: mov     dword [tick], 48        ; 40 us: they take turns
        mov     edx, USER_CODE
        mov     eax, program_disk
        call    create
        add     ebp, SLOT
        mov     eax, program_network
        call    create
        add     ebp, SLOT
        mov     eax, program_primes
        call    create
mark_created:
        mov     dword [current], processes_end - SLOT
        mov     ecx, [tick]
        jecxz   reschedule
        call    timer_set
        jmp     reschedule

; ---- entries from ring 3 ---------------------------------------------

system_call:
        cld
        pushad
        mov     esp, kernel_stack_top
        mov     ebp, [current]
        cmp     eax, SYSTEM_CALLS
        jae     refuse
        jmp     [system_calls + eax * 4]

refuse: mov     eax, -1
answer: mov     [ebp + SLOT_EAX], eax
resume: mov     esp, [current]
        add     esp, SLOT_REGISTERS
        popad
        iret

; The current process waits for EAX, and then makes its call again.
block:  mov     [ebp + SLOT_WAITS], eax
        mov     dword [ebp + SLOT_STATE], WAITING
        sub     dword [ebp + SLOT_FRAME], 2     ; INT 0x80 is two bytes

; Continue a process, or wait until there is one.
reschedule:
        mov     esp, kernel_stack_top
        call    pick
        jnc     resume
        sti                             ; which takes hold after HLT
        hlt
        cli
        jmp     reschedule

; Take the next process that is ready, round and round. CF: there is none.
pick:   mov     esi, [current]
        mov     ecx, PROCESSES
.next:  add     esi, SLOT
        cmp     esi, processes_end
        jb      .look
        mov     esi, processes
.look:  cmp     dword [esi + SLOT_STATE], READY
        je      .found
        dec     ecx
        jnz     .next
        stc
        ret
.found: mov     [current], esi
        mov     dword [reschedule_due], 0
        call    slice_start
        lea     eax, [esi + SLOT]
        KERNEL_STACK eax                ; the next entry saves it here
        mov     eax, [esi + SLOT_SPACE]
        mov     ecx, cr3
        cmp     eax, ecx
        je      .same
        mov     cr3, eax
.same:  clc
        ret

; Whoever waits for one of EAX is ready.
wake:   mov     esi, processes
.next:  call    wake_one
        add     esi, SLOT
        cmp     esi, processes_end
        jb      .next
        ret

; The process ESI, if it waits for one of EAX. It gets the processor soon.
wake_one:
        test    [esi + SLOT_WAITS], eax
        jz      .not
        mov     dword [esi + SLOT_WAITS], 0
        mov     dword [esi + SLOT_STATE], READY
        cmp     esi, [current]
        je      .not
        mov     dword [reschedule_due], 1
.not:   ret

system_write:
        call    readable
        jc      refuse
        cmp     ebx, FILE_NETWORK
        je      network_write
        cmp     ebx, FILE_DISK
        je      disk_write
        cmp     ebx, FILE_CONSOLE
        jne     refuse
        mov     esi, ecx
        mov     ecx, edx
        call    console_write
        mov     eax, edx
        jmp     answer

system_read:
        cmp     ebx, FILE_IDENTITY
        jne     .check
        mov     edx, SECTOR
.check: call    writable
        jc      refuse
        cmp     ebx, FILE_NETWORK
        je      network_read
        cmp     ebx, FILE_DISK
        je      disk_read
        cmp     ebx, FILE_IDENTITY
        jne     refuse
        mov     esi, disk_identity
        mov     edi, ecx
        mov     ecx, SECTOR / 4
        rep     movsd
        mov     eax, [disk_sectors]
        jmp     answer

; To a sector of its own extent, which is all that a process has.
system_seek:
        cmp     ecx, [ebp + SLOT_SECTORS]
        ja      refuse
        mov     [ebp + SLOT_POSITION], ecx
        mov     eax, ecx
        jmp     answer

; Wait for a frame or an input, for EBX timer counts at most.
system_select:
        xor     eax, eax
        cmp     dword [ebp + SLOT_FRAMES], 0
        je      .input
        or      eax, SELECT_PACKET
.input: mov     ecx, [ebp + SLOT_SHARED]
        cmp     dword [ecx + S_INPUT], 0
        je      .any
        or      eax, SELECT_INPUT
.any:   test    eax, eax
        jnz     .over
        test    ebx, ebx
        jz      .over
        cmp     dword [ebp + SLOT_AGAIN], 0
        jne     .over                   ; the time is over
        mov     dword [ebp + SLOT_AGAIN], 1
        mov     eax, WAIT_PACKET | WAIT_INPUT
        cmp     ebx, -1
        je      block
        mov     eax, ebx
        mov     ecx, LONGEST_TIMER
        call    timer_ask
        mov     eax, WAIT_PACKET | WAIT_INPUT | WAIT_TIMER
        jmp     block
.over:  xor     ecx, ecx
        xchg    ecx, [ebp + SLOT_AGAIN]
        jecxz   .never
        mov     dword [ebp + SLOT_LEFT], 0
.never: jmp     answer

; Not before others that have become ready; nor on, once their turn has come.
system_run:
        cmp     dword [reschedule_due], 0
        jne     .later
        call    VMDRIVER_CODE:vmdriver
        mov     [ebp + SLOT_EAX], eax
        cmp     dword [reschedule_due], 0
        je      resume
        jmp     reschedule
.later: sub     dword [ebp + SLOT_FRAME], 2
        jmp     reschedule

system_yield:
        mov     dword [ebp + SLOT_EAX], 0
        jmp     reschedule

system_exit:
        mov     [ebp + SLOT_VALUE], ebx
        mov     dword [ebp + SLOT_STATE], OVER
        mov     dword [ebp + SLOT_PORT], 0
        mov     dword [ebp + SLOT_LEFT], 0
        dec     dword [running]
        jnz     reschedule
        jmp     finish

%include "host_interrupts.inc"
%include "host_finish.inc"

PROCESSES       equ     MOST_VMS
        align   4
system_calls:   dd      system_exit, system_write, system_read, system_seek
                dd      system_select, system_attach
                dd      system_run, system_yield


TRAPS
        TRAP    0, forbidden, RING_0, INTERRUPT_GATE
        TRAP    6, forbidden, RING_0, INTERRUPT_GATE
        TRAP    7, forbidden, RING_0, INTERRUPT_GATE
        TRAP    13, forbidden, RING_0, INTERRUPT_GATE
        TRAP    14, page_fault, RING_0, INTERRUPT_GATE
        TRAP    0x20, timer_gate, RING_0, INTERRUPT_GATE
        TRAP    0x21, keyboard_gate, RING_0, INTERRUPT_GATE
        TRAP    0x24, serial_gate, RING_0, INTERRUPT_GATE
        TRAP    0x2A, network_gate, RING_0, INTERRUPT_GATE
        TRAP    0x2E, disk_gate, RING_0, INTERRUPT_GATE
        TRAP    0x80, system_call, RING_3, INTERRUPT_GATE
END_TRAPS

%include "host_timer.inc"
%include "host_memory.inc"
%include "host_disk.inc"
%include "host_network.inc"
%include "host_vmnet.inc"
%include "support.inc"
%include "host_data.inc"
%include "host_vmdriver.inc"

; ---- ring 3 ----------------------------------------------------------

        align   PAGE
application:
%include "host_programs.inc"
%include "host_vmapp.inc"
%include "host_vmapp_network.inc"
%include "host_vmapp_receive.inc"
%include "host_vmapp_disk.inc"
        align   PAGE                    ; what one of them writes to
test_frame:     db      0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF
                db      2, 0, 0, 0, 0, 7
                db      0x88, 0xB5, 0, 0
                times   TEST_LENGTH - 16 db 0x5A
        align   PAGE
application_end:
image_end:
